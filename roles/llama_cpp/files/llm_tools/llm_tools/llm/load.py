# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm load``: has the server load a model before it is asked."""

from __future__ import annotations

from ..arguments import add_timeout
from ..exit_codes import ExitCode
from ..residence import change_state

SUMMARY = "Load a model into memory, so that the first prompt need not wait for it."
EXAMPLES = ("%(prog)s load big",)


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="name of the model (see: llm models)")
    add_timeout(parser, 600, "give up after this many seconds")


def run(environment, arguments):
    change_state(environment, arguments.model, "loaded", arguments.timeout)
    return ExitCode.SUCCESS
