# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a llama-server has loaded its model, and which models it offers.

The commands import this at every start; what else is known of its health is in health.py.
"""

from __future__ import annotations

import time

from ..base.errors import LlamaCppError
from ..base.wait import wait_until
from .errors import NotAnswering, NotRunning, StillLoading

#: The timeout of each request for ``/health``. llama-server answers it from a thread that neither loads nor computes,
#: so this is long enough on a busy machine. Another program on the port may never answer, and ``on_look``, which sees
#: that the server has ended, must get its turn.
LOOK_SECONDS = 10.0


class Unhealthy(LlamaCppError):
    """The server answers, but not as it must."""


def wait_until_ready(server, timeout, on_look=None, model=None):
    """Wait until ``server`` has loaded its model; returns the seconds that took.

    A router is ready at once and tells of each model by itself; with ``model``, one that is being loaded is waited for.

    ``on_look(state, seconds)`` is called at every look, with "ready", "loading", "not running" or "not answering"; what
    it raises ends the wait. Raises NotRunning, NotAnswering or StillLoading when the last look, after ``timeout``
    seconds, still found that.
    """
    began = time.monotonic()
    state = failure = None

    def look():
        nonlocal state, failure
        failure = None
        try:
            state = server.within(LOOK_SECONDS).health()
            if model and state == "ready" and model_state(server, model) == "loading":
                state = "loading"
        except (NotRunning, NotAnswering) as error:
            state, failure = "not running" if isinstance(error, NotRunning) else "not answering", error
        if on_look:
            on_look(state, time.monotonic() - began)
        return state == "ready"

    if not wait_until(look, timeout, poll=0.2):
        if failure:
            text = f"{failure} Timed out after {timeout:g} s." if timeout else str(failure)
            raise type(failure)(text, reason=failure.reason)
        waited = f", after {timeout:g} s of waiting" if timeout else ""
        raise StillLoading(f"{server.base_url} is up and still loads its model{waited}.", 503)
    return time.monotonic() - began


def identify(server, model=None, will_be_asked=False):
    """Who answers: ``{"build": "b1-0c1e570", "model": name}``, with ``model`` or the first available model.

    Wants the key to be right, and raises Unhealthy when the model is not available or could not be loaded. A router
    tries that again for a model that ``will_be_asked``.
    """
    offered = offered_models(server)
    if not offered:
        raise Unhealthy(f"{server.base_url} offers no model: llama-server was started without one.")
    name = model or next(iter(offered))
    if name not in offered:
        raise Unhealthy(f'{server.base_url} does not offer the model "{name}"; it offers {", ".join(sorted(offered))}.')
    status = offered[name].get("status") or {}
    if status.get("failed") and not will_be_asked:
        raise Unhealthy(f'{server.base_url} could not load the model "{name}" (exit status {status.get("exit_code")}).')
    return {"build": server.props().get("build_info"), "model": name}


def model_state(server, model):
    """What a router says of ``model``: unloaded, loading, loaded or sleeping; None for any other server or model."""
    return (offered_models(server).get(model, {}).get("status") or {}).get("value")


def offered_models(server):
    """The available models, as a dict of every name and alias to what ``/v1/models`` says about the model."""
    return {name: model for model in server.models() for name in (model["id"], *(model.get("aliases") or ()))}
