# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager rollback``"""

from __future__ import annotations

from ..arguments import add_json
from ..core.service.rollback import roll_back
from ..exit_codes import ExitCode
from .releases import rollback_settings
from .service import configured_service

SUMMARY = "Return to the previous or the given release if it passes all checks."
EXAMPLES = ("%(prog)s rollback", "%(prog)s rollback b10488")


def add_arguments(parser):
    parser.add_argument(
        "release",
        nargs="?",
        metavar="RELEASE",
        help="name of the release or a unique prefix; see: llm-manager releases (default: the previous one)",
    )
    add_json(parser, "the result")


def run(environment, arguments):
    settings = rollback_settings(environment)
    service = configured_service(environment) if environment.section("service").get("manager") else None
    done = roll_back(service, settings, arguments.release, report=lambda stage, **_: environment.status(stage))
    if arguments.json:
        environment.write_json(done)
        return ExitCode.SUCCESS
    gap = " Downtime: {:.1f} s.".format(done["gap"]["seconds"]) if done["gap"] else ""
    words = "is in service again" if done["changed"] else "is already in service"
    environment.write(f"{done['release']} {words}.{gap}\n")
    if done["changed"]:
        environment.say("The next play returns to the configured version. To stay here, set engine.version.")
    return ExitCode.SUCCESS
