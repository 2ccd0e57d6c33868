# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a shell offers to complete a command line with (core/shells/completion.py), read from the parsers.

An argument says by itself what it takes: its ``choices``; a metavar that begins with FILE or DIRECTORY, the names of
files; a destination of NAMES, names of what is there. The words of an action say it by its usage (actions.py). Nothing
here asks the server: Tab must not wait.
"""

from __future__ import annotations

import argparse

from . import cli
from .core.base.errors import LlamaCppError
from .core.shells.completion import FILES, WORDS
from .user_files import conversations_dir, templates_dir

PATHS = ("FILE", "DIRECTORY")


def reply(environment, program, words):
    """The lines for the shell; the last of ``words`` is the one to complete."""
    try:
        found = candidates(environment, program, words[:-1], words[-1] if words else "")
    except (LlamaCppError, OSError):
        found = {}
    if found is FILES:
        return FILES + "\n"
    current = words[-1] if words else ""
    lines = [f"{word}\t{' '.join(meaning.split())}" for word, meaning in found.items() if word.startswith(current)]
    return "\n".join([WORDS, *lines]) + "\n"


def candidates(environment, program, before, current):
    """Candidate -> meaning, behind the words ``before``; or FILES."""
    if program.DEFAULT and before[:1] == ["--mode"]:
        before = before[1:] or ["help"]  # what follows is a command
    if not before and not current.startswith("-"):
        return commands(program)
    if before == ["help"]:
        return commands(program)
    command = before[0] if before and before[0] in program.COMMANDS else program.DEFAULT
    if command is None:
        return {}
    rest = before[1:] if before[:1] == [command] else before
    parser = cli.build_parser(environment.program, program, command)
    found = of_parser(environment, parser, rest, current)
    if not before and found is not FILES:
        found = {**found, "--version": "print the version"}
    return found


def commands(program):
    return {command: cli.module_of(program, command).SUMMARY for command in program.COMMANDS}


def of_parser(environment, parser, rest, current):
    """Like :func:`candidates`, of one subcommand; ``rest`` are the words behind it."""
    actions = parser._actions
    options = {spelling: action for action in actions for spelling in action.option_strings}
    words, waiting = [], None
    for number, word in enumerate(rest):
        if waiting:
            waiting = None
        elif word == "--":
            words += rest[number + 1 :]
            options = {}
            break
        elif word in options:
            waiting = options[word] if takes_value(options[word]) else None
        elif not word.startswith("-"):
            words.append(word)
    if waiting:
        return values(environment, waiting)
    spelling, equals, _value = current.partition("=")
    if equals and spelling in options and options[spelling].choices:
        return {f"{spelling}={value}": "" for value in options[spelling].choices}
    if current.startswith("-") and options:
        return {spelling: action.help or "" for spelling, action in options.items()}
    if parser.actions:
        return of_actions(environment, parser.actions, words)
    positional = [action for action in actions if not action.option_strings]
    if positional and positional[-1].nargs in (argparse.ZERO_OR_MORE, argparse.ONE_OR_MORE):
        positional += [positional[-1]] * len(words)
    return values(environment, positional[len(words)]) if len(words) < len(positional) else {}


def of_actions(environment, actions, words):
    """The names of ``actions``, or what may follow one of them; ``words`` are those before."""
    if not words:
        return {name: action.usage for name, action in actions.items()}
    usage = actions[words[0]].usage.split() if words[0] in actions else []
    if usage and usage[-1].endswith("…"):
        usage += [usage[-1]] * len(words)
    word = usage[len(words) - 1].strip("[]…") if len(words) <= len(usage) else ""
    if word in WORDS_OF_ACTIONS:
        return WORDS_OF_ACTIONS[word](environment)
    return FILES if word == "PATH" else dict.fromkeys(word.split("|"), "") if "|" in word else {}


def takes_value(action):
    return action.nargs != 0


def values(environment, action):
    """What may stand for ``action``, as :func:`candidates` has it."""
    if action.choices:
        return dict.fromkeys(map(str, action.choices), "")
    if action.dest in NAMES:
        return NAMES[action.dest](environment)
    return FILES if str(action.metavar).startswith(PATHS) else {}


def models(environment):
    """The configured models."""
    if environment.elsewhere:
        return {}
    return {entry["name"]: entry.get("description") or "" for entry in environment.config.get("models") or ()}


def releases(environment):
    """The installed releases of llama.cpp."""
    from .manager.releases import described, rollback_settings, words  # noqa: PLC0415 - the engine's code, rarely needed

    return {entry["name"]: words(entry) for entry in described(rollback_settings(environment)["rollout"])}


def conversations(environment):
    """The saved conversations with their titles."""
    from .conversations.store import Store  # noqa: PLC0415 - needed for these alone

    summaries = Store(conversations_dir(environment.environ)).summaries()
    return {summary.id: summary.title or "" for summary in summaries}


def template_names(environment):
    """The templates of this user."""
    from . import templates  # noqa: PLC0415 - needed for these alone

    return dict.fromkeys(templates.names(templates_dir(environment.environ)), "")


#: Destination of an argument -> what names it can be completed with.
NAMES = {"model": models, "release": releases, "conversation": conversations, "template": template_names}
#: The same of a word in the usage of an action.
WORDS_OF_ACTIONS = {"ID": conversations, "NAME": template_names}
