# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm unload``: has the server free the memory of a model."""

from __future__ import annotations

from ..arguments import add_timeout
from ..exit_codes import ExitCode
from ..residence import change_state

SUMMARY = "Remove a model from memory; the next prompt for it loads it again."
EXAMPLES = ("%(prog)s unload big",)


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="name of the model (see: llm models)")
    add_timeout(parser, 60, "give up after this many seconds")


def run(environment, arguments):
    change_state(environment, arguments.model, "unloaded", arguments.timeout)
    return ExitCode.SUCCESS
