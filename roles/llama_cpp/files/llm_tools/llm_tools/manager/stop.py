# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager stop``"""

from __future__ import annotations

from ..exit_codes import ExitCode
from .service import configured_service

SUMMARY = "Stop the service; it stays stopped until it is started, or until the machine is."
EXAMPLES = ("%(prog)s stop",)


def add_arguments(parser):
    """There are none."""


def run(environment, arguments):
    environment.status("stopping")
    configured_service(environment).stop()
    environment.status("")
    environment.say("The service is stopped.")
    return ExitCode.SUCCESS
