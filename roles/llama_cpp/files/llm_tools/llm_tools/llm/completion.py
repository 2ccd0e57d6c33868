# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm completion``: the scripts that have a shell complete both commands."""

from __future__ import annotations

from ..core.shells.completion import SCRIPTS, script
from ..environment import MANAGER
from ..exit_codes import ExitCode

SUMMARY = "Print the completion script of a shell, for both commands. The play has installed it already."
EXAMPLES = (
    'eval "$(%(prog)s completion bash)"',
    'eval "$(%(prog)s completion zsh)"',
    "%(prog)s completion fish | source",
)


def add_arguments(parser):
    parser.add_argument("shell", metavar="SHELL", choices=tuple(SCRIPTS), help="one of: " + ", ".join(SCRIPTS))


def run(environment, arguments):
    environment.write("".join(script(arguments.shell, name) for name in (environment.program, MANAGER)))
    return ExitCode.SUCCESS
