# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager test``: whether the server computes correctly, not only whether it answers."""

from __future__ import annotations

import os

from ..arguments import add_json, add_timeout
from ..core.base.files import sha256_of
from ..core.engine.selftest import ask_all, known_answers, require_all_correct
from ..core.llama.health import sample_answer
from ..core.llama.readiness import identify, wait_until_ready
from ..environment import MANAGER
from ..exit_codes import ExitCode

SUMMARY = "Send a test prompt to the server; the self-test model must give all known answers."
EXAMPLES = ("%(prog)s test", "%(prog)s test --json")

CONSEQUENCE = f"Nothing was changed. Read the server's log: {MANAGER} logs. Then restart the server: {MANAGER} restart"


def add_arguments(parser):
    add_json(parser, "the result")
    add_timeout(parser, 300, "time out after this many seconds without data from the server")


def run(environment, arguments):
    server = environment.server(arguments.timeout)
    model = environment.section("server").get("model")
    wait_until_ready(server, 0, model=model)
    found = identify(server, model, will_be_asked=True)
    purpose = environment.purpose_of(found["model"])
    if purpose == "chat" and serves_selftest_model(environment, found["model"]):
        known = known_answers(environment.section("selftest")["answers"])
        result = ask_all(server, known, show_progress(environment, known), model=found["model"])
        environment.status("")
        outcome = f"{result['correct']} of {result['asked']} known answers are correct"
    else:
        result = sample_answer(server, found["model"], purpose)
        outcome = f"answered: {' '.join(result['answer'].split())}"
    if arguments.json:
        environment.write_json({**found, **result})
    if "asked" in result:
        require_all_correct(result, f"{server.base_url} ({found['build']})", CONSEQUENCE)
    if not arguments.json:
        speed = f" ({result['tokens_per_second']} tokens/s)" if result["tokens_per_second"] else ""
        environment.write(f"{found['model']} {outcome}{speed}\n")
    return ExitCode.SUCCESS


def serves_selftest_model(environment, model):
    """Whether ``model`` is, byte for byte, the model that the known answers belong to."""
    own = environment.section("selftest").get("model")
    paths = {entry["name"]: entry.get("dest") for entry in environment.config.get("models") or ()}
    served = paths.get(model)
    if not own or not served or not os.path.exists(own) or not os.path.exists(served):
        return False
    return os.path.getsize(own) == os.path.getsize(served) and sha256_of(own) == sha256_of(served)


def show_progress(environment, known):
    """Shows on the terminal how many prompts are answered."""
    return lambda done: environment.status(f"{done} of {len(known['answers'])} known answers")
