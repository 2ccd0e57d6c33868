# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What ``start`` and ``restart`` share: a service that was started is followed until its server is ready."""

from __future__ import annotations

from ..arguments import add_timeout
from ..core.base.errors import LlamaCppError
from ..core.llama.errors import NotRunning
from ..core.llama.log_causes import explain
from ..core.llama.readiness import identify, wait_until_ready


def add_patience(parser):
    add_timeout(parser, 300, "wait up to this many seconds for the model to load")


def follow_until_ready(environment, service, timeout):
    """Wait until the server of a started service is ready, and say what it serves.

    Raises LlamaCppError, with the cause as far as the log tells it, as soon as the service has ended.
    """
    server = environment.server(timeout=10.0)
    log = environment.section("service").get("log")

    def look(state, seconds):
        environment.status(f"{state}, {seconds:.0f} s")
        if state in ("not running", "not answering"):
            ended = service.status()
            if not ended["running"]:
                raise LlamaCppError(f"llama-server exited ({exit_words(ended['last_exit'])}).\n{explain(log)}")

    model = environment.section("server").get("model")
    try:
        seconds = wait_until_ready(server, timeout, look, model)
        found = identify(server, model)
    except NotRunning as error:
        raise NotRunning(f"{error}\n{explain(log)}", error.status, error.reason) from error
    finally:
        environment.status("")
    environment.write(
        f"{server.base_url} is ready after {seconds:.1f} s: model {found['model']}, build {found['build']}\n"
    )


def exit_words(last_exit):
    """How a process ended, from its exit status (a signal's number is negative)."""
    if last_exit is None:
        return "unknown exit status"
    return f"signal {-last_exit}" if last_exit < 0 else f"exit status {last_exit}"
