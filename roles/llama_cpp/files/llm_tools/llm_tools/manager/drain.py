# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager drain``"""

from __future__ import annotations

import contextlib
import os

from ..core.base.errors import LlamaCppError, in_words
from ..core.base.files import write_atomically
from ..errors import UsageError
from ..exit_codes import ExitCode

SUMMARY = "Have gateways send no new requests to this machine; what it computes goes on."
EXAMPLES = ("%(prog)s drain", "%(prog)s drain --end")


def add_arguments(parser):
    parser.add_argument("--end", action="store_true", help="have them send requests again")


def run(environment, arguments):
    agent = environment.section("watchdog").get("agent")
    if not agent:
        raise UsageError("No gateway asks this machine: service.watchdog.agent is not configured.")
    try:
        if arguments.end:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(agent["drain_file"])
        else:
            write_atomically(agent["drain_file"], "", 0o600)
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be changed", agent["drain_file"])) from error
    environment.say(
        "Gateways send requests to this machine again."
        if arguments.end
        else "Gateways send no new requests to this machine within seconds, until: llm-manager drain --end"
    )
    return ExitCode.SUCCESS
