# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Subcommands with actions of their own: ``llm conversations show ID``."""

from __future__ import annotations

from typing import Callable, NamedTuple

from .core.base.text import did_you_mean
from .errors import UsageError


class Action(NamedTuple):
    """What is called, as ``run(environment, arguments)``, and its words: ``ID TITLE``, ``[PATH]``, ``ID…``."""

    run: Callable
    usage: str = ""

    def takes(self, count):
        """Whether the action can be called with so many words."""
        names = self.usage.split()
        needed = [name for name in names if not name.startswith("[")]
        return count >= len(needed) and (count <= len(names) or self.usage.endswith("…"))


def add_actions(parser, actions):
    """The action, by default the first one, and its words; completion finds them in ``parser.actions``."""
    parser.actions = actions
    usages = [f"{name} {action.usage}".strip() for name, action in actions.items()]
    parser.add_argument(
        "action", metavar="ACTION", nargs="?", default=next(iter(actions)), help="one of: " + ", ".join(usages)
    )
    parser.add_argument("words", metavar="WORD", nargs="*", help="the words of the action")


def run_action(environment, arguments, actions, command):
    """Run the chosen action of ``llm command``. Raises UsageError for an unknown one and for wrong words."""
    name = arguments.action
    if name not in actions:
        hint = did_you_mean(name, actions) or f"; actions: {', '.join(actions)}."
        raise UsageError(f'unknown action "{name}"{hint}\nFor help: {environment.program} {command} --help')
    action = actions[name]
    if not action.takes(len(arguments.words)):
        raise UsageError(f"usage: {environment.program} {command} {name} {action.usage}".rstrip())
    return action.run(environment, arguments)
