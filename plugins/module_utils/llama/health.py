# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a llama-server really serves: a real answer, of the right build, on the right device, to the right people.

An open port and a green ``/health`` prove little: llama-server's handler never touches the thread that computes,
and a server started without a model is an empty router that calls itself healthy.
"""

from __future__ import annotations

import math
import os
import time

from ..base.errors import LlamaCppError
from ..base.log_tail import quote_log
from .api_keys import read_api_key
from .client import LlamaServer
from .devices import list_devices
from .errors import NotAuthorised, NotRunning, ServerError
from .log_causes import SHOWN_LINES, explain
from .readiness import Unhealthy, identify, wait_until_ready

QUESTION = [{"role": "user", "content": "Say hello."}]
DOCUMENTS = ["Hello.", "The moon is far."]
ANSWER_TOKENS = 16
EXCERPT_CHARACTERS = 80


def check_server(
    url,
    *,
    api_key_file=None,
    ca_file=None,
    certificate=None,
    own=False,
    model=None,
    purpose="chat",
    expected_build=None,
    expected_device=None,
    server=None,
    require_key=False,
    log_file=None,
    timeout=300,
    on_look=None,
):
    """Wait until the server at ``url`` is ready, then put it to the proof.

    :param ca_file, certificate: how the server proves that it may be told the key: see :class:`LlamaServer`.
    :param own: whether it is told the key only as a process of the user who asks.
    :param model: the name under which the model must be available; None takes the first one offered.
    :param purpose: what it is asked for: a ``chat`` answer, an ``embedding`` or a ``rerank`` of documents.
    :param expected_build: what ``/props`` must call the build, for example ``b1-0c1e570``.
    :param expected_device: a device that ``server`` (the path of the llama-server binary) must list, such as ``MTL0``.
    :param require_key: a completion without the key must be refused.
    :param log_file: where the server logs; a failure quotes it and tells the cause from it.
    :param timeout: seconds to wait until it is ready, and for its answer.
    :param on_look: see :func:`wait_until_ready`.
    :returns: ``ready_after`` (seconds), ``build``, ``model``, ``answer`` (its beginning), ``tokens_per_second``,
        ``devices`` (name to description; empty when ``server`` is not given).
    :raises LlamaCppError: what is wrong, why, and what to do. Nothing is changed in any case.
    """
    key = read_api_key(api_key_file) if api_key_file else None
    proofs = {"ca_file": ca_file, "certificate": certificate, "owner": os.getuid() if own else None}
    checked = LlamaServer(url, key, timeout, **proofs)
    try:
        ready_after = wait_until_ready(checked, timeout, on_look, model)
        found = identify(checked, model, will_be_asked=True)
        _check_build(found["build"], expected_build, checked.base_url)
        if require_key:
            _check_refusal(LlamaServer(url, None, timeout, **proofs), found["model"])
        answer = sample_answer(checked, found["model"], purpose)
        devices = list_devices(server) if server else {}
        _check_device(devices, expected_device, server)
    except LlamaCppError as failure:
        if not log_file:
            raise
        known = isinstance(failure, Unhealthy)
        evidence = quote_log(log_file, SHOWN_LINES) if known else explain(log_file)
        raise type(failure)(f"{failure}\n{evidence}") from failure
    return {"ready_after": round(ready_after, 2), **found, "devices": devices, **answer}


def sample_answer(server, model, purpose="chat"):
    """What ``model`` makes of a small question: the beginning of its ``answer``, and a chat's ``tokens_per_second``."""
    if purpose == "embedding":
        return {"answer": _embedding(server, model), "tokens_per_second": None}
    if purpose == "rerank":
        return {"answer": _order(server, model), "tokens_per_second": None}
    began = time.monotonic()
    reply = server.chat(QUESTION, model=model, max_tokens=ANSWER_TOKENS, temperature=0, seed=1)
    seconds = time.monotonic() - began
    tokens = (reply.get("usage") or {}).get("completion_tokens") or 0
    message = reply["choices"][0].get("message") or {}
    if tokens < 1:
        raise Unhealthy(f"{server.base_url} ended its answer before the first token.")
    answer = (message.get("content") or message.get("reasoning_content") or "").strip()
    rate = (reply.get("timings") or {}).get("predicted_per_second") or tokens / seconds
    return {"answer": answer[:EXCERPT_CHARACTERS], "tokens_per_second": round(rate, 1)}


def _embedding(server, model):
    vector = server.embed(QUESTION[0]["content"], model=model)
    if not any(_is_number(number) and number for number in vector) or not all(map(_is_number, vector)):
        raise Unhealthy(f"{server.base_url} embeds a text as {len(vector)} numbers that are all 0, or are no numbers.")
    return f"a vector of {len(vector)} numbers"


def _order(server, model):
    scores = server.rerank(QUESTION[0]["content"], DOCUMENTS, model=model)
    if not all(map(_is_number, scores)):
        raise Unhealthy(f"{server.base_url} orders documents by scores that are no numbers.")
    return f"scores of {len(scores)} documents"


def _is_number(value):
    return isinstance(value, (int, float)) and math.isfinite(value)


def nobody_listens(url):
    """Whether the connection to ``url`` is refused, without looking at keys or certificates."""
    try:
        LlamaServer(url, timeout=5).health()
    except NotRunning:
        return True
    except LlamaCppError:
        return False
    return False


def _check_build(build, expected, url):
    if expected and build != expected:
        raise Unhealthy(
            f"{url} is served by build {build}, not by {expected}: the server of before still runs, "
            "or another program's. Restart the service: llm-manager restart"
        )


def _check_refusal(stranger, model):
    try:
        stranger.chat(QUESTION, model=model, max_tokens=1)
    except NotAuthorised:
        return
    except ServerError as error:
        if error.status is None:
            raise
    raise Unhealthy(
        f"{stranger.base_url} answers without an API key, to anyone who reaches it. llama-server asks for none "
        "when its key file is empty: write a key into the file, then run: llm-manager restart"
    )


def _check_device(devices, expected, binary):
    if expected and expected not in devices:
        found = ", ".join(devices) or "none, so it computes on the CPU"
        raise Unhealthy(
            f"{binary} finds no device {expected} (found: {found}). On a Mac that is Metal: check that the engine was "
            "built with llm_settings.metal_acceleration and for this machine's architecture."
        )
