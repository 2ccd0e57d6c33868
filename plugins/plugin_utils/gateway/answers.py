# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a gateway answers itself: the list of models, and every error, in a form that clients of OpenAI and of Anthropic
understand (both read ``error``, the latter ``type`` next to it too).
"""

from __future__ import annotations

import json

#: The model that a request names, as text within JSON; only HAProxy knows it.
ASKED = "%[var(txn.model),json(utf8s)]"

_ERRORS = {
    "wrong_key": (401, "authentication_error", "invalid_api_key", "The API key is missing or not valid."),
    "unknown_path": (404, "not_found_error", "unknown_path", "The gateway serves /v1/ and /m/MODEL/, and not this."),
    "no_json": (400, "invalid_request_error", "invalid_json", "The body is not a JSON object."),
    "no_model": (
        400,
        "invalid_request_error",
        "missing_model",
        "The request does not say which model it is for: a field model of its body, or a path /m/MODEL/, has to.",
    ),
    "too_large": (413, "request_too_large", "request_too_large", "The body has over {max_request_bytes} bytes."),
    "too_slow": (408, "invalid_request_error", "request_timeout", "The request did not arrive in time."),
    "bad_request": (400, "invalid_request_error", "bad_request", "This is not a request of HTTP."),
    "too_often": (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "This API key has more requests in a minute than it may have.",
    ),
    "too_many": (
        429,
        "rate_limit_error",
        "too_many_requests",
        "This API key has more requests at once than it may have.",
    ),
    "queue_full": (503, "overloaded_error", "queue_full", "All hosts with this model are busy, and the queue is full."),
    "no_host": (503, "overloaded_error", "no_host", "No host with this model is up."),
    "busy": (503, "overloaded_error", "busy", "No host became free, or none could be reached, in time."),
    "host_failed": (502, "api_error", "host_failed", "The host ended the connection before it had answered."),
    "host_silent": (504, "api_error", "host_silent", "The host did not answer in time."),
    "failed": (500, "api_error", "gateway_failed", "The gateway failed."),
}

#: Errors of HAProxy's own making, which it looks up by their status.
BY_STATUS = ("bad_request", "too_slow", "failed", "host_failed", "busy", "host_silent")

#: After how many seconds a client should try again.
RETRY_AFTER = {"too_often": 10, "too_many": 2, "queue_full": 5, "no_host": 10, "busy": 5}


def errors(max_request_bytes, models):
    """Name -> ``status``, ``form`` (HAProxy's word for what the body is), ``body`` and ``retry_after`` (None: no
    use) of every error."""
    found = {
        name: _error(name, status, kind, code, message.format(max_request_bytes=max_request_bytes))
        for name, (status, kind, code, message) in _ERRORS.items()
    }
    names = ", ".join(model["name"] for model in models)
    message = f"The model \0 does not exist. The gateway has: {names}."
    unknown = _error("unknown_model", 404, "not_found_error", "model_not_found", message, param="model")
    # The text is one of HAProxy's log formats, in which a percent sign begins an expression.
    body = unknown["body"].replace("%", "%%").replace("\\u0000", ASKED)
    return {**found, "unknown_model": {**unknown, "form": "lf-string", "body": body}}


def model_list(models):
    """The answer to ``GET /v1/models``, as text."""
    entries = [
        {"id": model["name"], "object": "model", "created": 0, "owned_by": "llamacpp", "aliases": model["aliases"]}
        for model in models
    ]
    return json.dumps({"object": "list", "data": entries})


def _error(name, status, kind, code, message, param=None):
    error = {"message": message, "type": kind, "param": param, "code": code}
    return {
        "status": status,
        "form": "string",
        "body": json.dumps({"type": "error", "error": error}),
        "retry_after": RETRY_AFTER.get(name),
    }
