# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Models in and out of the memory of a server that has several: a router."""

from __future__ import annotations

import time

from .core.base.errors import LlamaCppError
from .core.base.wait import wait_until
from .core.llama.readiness import offered_models
from .model_names import requested_model

VERBS = {"loaded": ("loading", "loads"), "unloaded": ("unloading", "unloads")}


def change_state(environment, wanted, state, seconds):
    """Have the model ``wanted`` be ``state``, "loaded" or "unloaded", and wait for that.

    Raises LlamaCppError when the server has one model only, or it is not done in so many ``seconds``.
    """
    server = environment.server(timeout=30.0)
    model = requested_model(environment, server, wanted)
    doing, does = VERBS[state]
    status = _status(server, model)
    if status is None:
        raise LlamaCppError(f"{server.base_url} has one model, which it {does} by itself; nothing was changed.")
    if status["value"] == state:
        environment.say(f"{model} is {state} already.")
        return
    (server.load if state == "loaded" else server.unload)(model)
    began = time.monotonic()

    def look():
        nonlocal status
        status = _status(server, model) or {}
        if state == "loaded" and status.get("failed"):
            raise LlamaCppError(f"{model} could not be loaded (exit status {status.get('exit_code')}).")
        environment.status(f"{doing} {model}, {time.monotonic() - began:.0f} s")
        return status.get("value") == state

    if not wait_until(look, seconds, poll=0.2):
        raise LlamaCppError(f"{model} is still {status.get('value')} after {seconds:g} s.")
    environment.say(f"{model} is {state}.")


def _status(server, model):
    return (offered_models(server).get(model) or {}).get("status")
