# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager start``"""

from __future__ import annotations

from ..core.llama.log_causes import explaining
from ..exit_codes import ExitCode
from .readiness import add_patience, follow_until_ready
from .service import configured_service, why_service_is_held

SUMMARY = "Start the service and wait until the server is ready."
EXAMPLES = ("%(prog)s start", "%(prog)s start --timeout 900")


def add_arguments(parser):
    add_patience(parser)


def run(environment, arguments):
    service = configured_service(environment)
    held = why_service_is_held(environment)
    running = service.status()["running"]
    if running and not held:
        environment.say("The service is already running.")
    else:
        with explaining(environment.section("service").get("log")):
            if running:  # the runner that gave up on its server stays for a moment longer
                service.stop()
            service.start()
    follow_until_ready(environment, service, arguments.timeout)
    return ExitCode.SUCCESS
