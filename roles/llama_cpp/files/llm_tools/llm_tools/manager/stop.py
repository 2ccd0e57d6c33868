# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager stop``"""

from __future__ import annotations

from ..exit_codes import ExitCode
from .service import configured_service

SUMMARY = "Stop the service until it is started again or the machine restarts."
EXAMPLES = ("%(prog)s stop",)


def add_arguments(parser):
    """No arguments."""


def run(environment, arguments):
    environment.status("stopping")
    configured_service(environment).stop()
    environment.status("")
    environment.say("The service has stopped.")
    return ExitCode.SUCCESS
