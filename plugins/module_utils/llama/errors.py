# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The errors of a client of llama-server, and which of them an answer is that says no."""

from __future__ import annotations

import json

from ..base.errors import LlamaCppError
from ..base.strict_json import NotStrict, parse

EXCERPT_CHARACTERS = 300
REASON_CHARACTERS = 2000


class ServerError(LlamaCppError):
    """The server did not do what it was asked.

    :ivar status: the HTTP status, None when there was no HTTP answer.
    :ivar reason: what the server (or the system, when it was not reached) said, in its own words.
    :ivar answer: the whole text that came with the status; empty when none did.
    :ivar retry_after: how many seconds the server asked to wait; None when it did not.
    """

    answer = ""
    retry_after = None

    def __init__(self, text, status=None, reason=""):
        super().__init__(text)
        self.status = status
        self.reason = reason


class NotRunning(ServerError):
    """No process listens at the address, or the connection ended without an answer."""


class ConnectionLost(NotRunning):
    """The server took the request, and its connection ended before the answer did."""


class NotAnswering(ServerError):
    """Somebody listens at the address and took the request, and gave no answer in time."""


class StillLoading(ServerError):
    """The server is up and loads its model."""


class NotAuthorised(ServerError):
    """The server wants another API key than the one it was given."""


class ContextExceeded(ServerError):
    """The prompt does not fit into the context.

    :ivar prompt_tokens, context: how long the prompt is, and what there is room for, in tokens; None: not told.
    """

    def __init__(self, text, status=None, reason="", prompt_tokens=None, context=None):
        super().__init__(text, status, reason)
        self.prompt_tokens, self.context = prompt_tokens, context


class Stranger(ServerError):
    """The process that answers is not the server that the API key belongs to, so the key was not sent."""


def refusal(url, status, body, has_key):
    """The error for an answer of the server at ``url`` that says no.

    :param body: its text, or the object that it was parsed into.
    :param has_key: whether the client has an API key.
    """
    reason = _reason(body) or _phrase(status)
    if status == 503 and "loading" in reason.lower():
        return StillLoading(f"{url} is up and still loads its model.", status, reason)
    if status in (401, 403):
        given = "refuses the API key it was given" if has_key else "wants an API key"
        return NotAuthorised(f"{url} {given}: {reason}", status, reason)
    told = _error_of(body)
    if told.get("type") == "exceed_context_size_error":
        sizes = [size if isinstance(size := told.get(name), int) else None for name in ("n_prompt_tokens", "n_ctx")]
        return ContextExceeded(f"{url} answered {status}: {reason}", status, reason, *sizes)
    return ServerError(f"{url} answered {status}: {reason}", status, reason)


def status_in(event):
    """The HTTP status inside an error that came after the stream had begun with 200, or None."""
    error = event["error"]
    return error.get("code") if isinstance(error, dict) else None


def _phrase(status):
    """The words of an HTTP status."""
    import http  # noqa: PLC0415 - only for refusals, and the commands have to start fast

    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _error_of(body):
    """The object ``error`` in the body of a refusal; an empty one where there is none."""
    if isinstance(body, str):
        try:
            body = parse(body, any_text=True)
        except NotStrict:
            return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _reason(body):
    """The server's own words in an error body such as ``{"error": {"message": "Invalid API Key"}}``."""
    if isinstance(body, str):
        try:
            body = parse(body, any_text=True)
        except NotStrict:
            return " ".join(body[:EXCERPT_CHARACTERS].split())
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        error = error["message"]
    return error[:REASON_CHARACTERS] if isinstance(error, str) else json.dumps(error)[:EXCERPT_CHARACTERS]
