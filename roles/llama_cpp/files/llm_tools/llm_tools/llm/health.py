# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm health``: whether the server answers and accepts the API key."""

from __future__ import annotations

from ..arguments import add_json, seconds
from ..core.base.errors import LlamaCppError
from ..core.llama.readiness import identify, wait_until_ready
from ..exit_codes import ExitCode
from ..failures import state_word
from ..waiting import waiting_line

SUMMARY = "Show whether the server is ready; the exit status reports it, too."
EXAMPLES = ("%(prog)s health", '%(prog)s health --wait 60 && %(prog)s "Are you there?"', "%(prog)s health --json")


def add_arguments(parser):
    parser.add_argument(
        "--wait", metavar="SECONDS", type=seconds, default=0, help="wait up to this long until it is ready"
    )
    add_json(parser, "the result")


def run(environment, arguments):
    server = environment.server(timeout=10.0)
    model = None if environment.elsewhere else environment.section("server").get("model")
    found, failure = {}, None
    try:
        wait_until_ready(server, arguments.wait, waiting_line(environment), model)
        found = identify(server, model)
    except LlamaCppError as error:
        failure = error
    environment.status("")
    if arguments.json:
        message = str(failure) if failure else None
        environment.write_json({"state": state_word(failure), "url": server.base_url, **found, "message": message})
    if failure:
        raise failure
    if not arguments.json:
        environment.write(f"{server.base_url} is ready: model {found['model']}, build {found['build']}\n")
    return ExitCode.SUCCESS
