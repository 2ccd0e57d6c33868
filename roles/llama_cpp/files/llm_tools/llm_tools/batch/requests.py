# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a line of the input asks of the server: in OpenAI's batch format, or plainly.

{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": […], …}}
{"prompt": "…", …}   {"messages": […], …}   "…"
"""

from __future__ import annotations

import json
from typing import NamedTuple

from ..core.base.strict_json import MOST_BYTES
from ..core.base.text import did_you_mean
from . import results
from .json_lines import TOO_DEEP, NotJson, parse

CHAT = "/v1/chat/completions"
ENDPOINTS = (CHAT, "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/responses")


class Request(NamedTuple):
    """One request: where to post which JSON, and the form that its result is written in."""

    path: str
    document: bytes
    form: results.Form


class Refused(Exception):
    """A line that is no request; ``code`` and the text say why. Its result is written in ``form``."""

    def __init__(self, form, code, message):
        super().__init__(message)
        self.form = form
        self.code = code


class Reader:
    """Makes a Request of a line.

    :param text: every line is a prompt as it is.
    :param model: the model for lines that name none.
    :param forced_model: the model for all lines in OpenAI's format: those name one of another service.
    :param system: the system prompt for plain lines.
    :param options: keys of the request for plain lines, which override them.
    """

    def __init__(self, text=False, model=None, forced_model=None, system=None, options=()):
        self._text = text
        self._model, self._forced_model = model, forced_model
        self._system = system
        self._options = dict(options)

    @property
    def settings(self):
        """What of a result this decides, as bytes."""
        return json.dumps([self._text, self._model, self._forced_model, self._system, self._options]).encode("ascii")

    def request(self, line):
        """The Request that ``line`` is. Raises Refused."""
        if line.content is None:
            raise Refused(results.Unknown(line), "line_too_long", f"the line has more than {MOST_BYTES} bytes")
        if not line.content.strip():
            raise Refused(results.Unknown(line), "empty_line", "the line is empty")
        if self._text:
            return self._plain(line, {"prompt": self._decoded(line)})
        try:
            value = parse(self._decoded(line))
        except NotJson as error:
            raise Refused(results.Unknown(line), "invalid_json", str(error)) from None
        if isinstance(value, str):
            return self._plain(line, {"prompt": value})
        if isinstance(value, dict) and ("body" in value or "url" in value):
            return self._of_openai(line, value)
        if isinstance(value, dict) and ("prompt" in value or "messages" in value):
            return self._plain(line, value)
        message = 'expected: text, or an object with "prompt", "messages", or "url" and "body" (OpenAI\'s batch format)'
        raise Refused(results.Unknown(line), "invalid_line", message)

    def _decoded(self, line):
        try:
            return line.content.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"the line is not UTF-8 text (byte {error.start})"
            raise Refused(results.Unknown(line), "invalid_encoding", message) from None

    def _of_openai(self, line, value):
        custom_id, url, body = value.get("custom_id"), value.get("url"), value.get("body")
        form = results.OpenAI(line, custom_id)
        self._check_custom_id(line, form, custom_id)
        if value.get("method", "POST") != "POST":
            raise Refused(form, "invalid_method", 'expected for "method": POST')
        if url not in ENDPOINTS:
            hint = did_you_mean(url, ENDPOINTS) or f"; expected: {', '.join(ENDPOINTS)}"
            raise Refused(form, "invalid_url", f"unknown url {json.dumps(url)}{hint}")
        if not isinstance(body, dict):
            raise Refused(form, "invalid_body", 'expected for "body": an object')
        model = self._forced_model or body.get("model") or self._model
        return self._made(url, {**body, **({"model": model} if model else {})}, form)

    def _plain(self, line, options):
        own = ("prompt", "messages", "system", "custom_id")
        prompt, messages, system, custom_id = map(options.get, own)
        form = results.Plain(line, custom_id)
        self._check_custom_id(line, form, custom_id)
        if (prompt is None) == (messages is None):
            raise Refused(form, "invalid_line", 'expected: either "prompt" or "messages"')
        if messages is None:
            if not isinstance(prompt, str) or not prompt.strip():
                raise Refused(form, "invalid_prompt", "expected for the prompt: text that is not empty")
            messages = [{"role": "user", "content": prompt}]
        if not (isinstance(messages, list) and messages and all(isinstance(entry, dict) for entry in messages)):
            raise Refused(form, "invalid_messages", 'expected for "messages": a list of objects')
        system = self._system if system is None else system
        if system and all(entry.get("role") not in ("system", "developer") for entry in messages):
            messages = [{"role": "system", "content": system}, *messages]
        default = {"model": self._model} if self._model else {}
        options = {key: value for key, value in options.items() if key not in own}
        return self._made(CHAT, {**default, **self._options, **options, "messages": messages}, form)

    @staticmethod
    def _check_custom_id(line, form, custom_id):
        if custom_id is not None and (not isinstance(custom_id, (str, int)) or isinstance(custom_id, bool)):
            raise Refused(form, "invalid_custom_id", 'expected for "custom_id": text')
        if line.repeats:
            raise Refused(form, "duplicate_custom_id", 'a line before this one has the same "custom_id"')

    @staticmethod
    def _made(path, body, form):
        """A result is one line, so nothing is streamed."""
        body = {key: value for key, value in body.items() if key not in ("stream", "stream_options")}
        try:
            return Request(path, json.dumps(body).encode("ascii"), form)
        except RecursionError:  # the writer reaches its limit a little before the parser
            raise Refused(form, "invalid_json", TOO_DEEP) from None
