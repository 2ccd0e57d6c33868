# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager restart``"""

from __future__ import annotations

from ..core.llama.log_causes import explaining
from ..exit_codes import ExitCode
from .readiness import add_patience, follow_until_ready
from .service import configured_service

SUMMARY = "Restart the service and wait until the server is ready."
EXAMPLES = ("%(prog)s restart",)


def add_arguments(parser):
    add_patience(parser)


def run(environment, arguments):
    service = configured_service(environment)
    environment.status("restarting")
    with explaining(environment.section("service").get("log")):
        service.restart()
    follow_until_ready(environment, service, arguments.timeout)
    return ExitCode.SUCCESS
