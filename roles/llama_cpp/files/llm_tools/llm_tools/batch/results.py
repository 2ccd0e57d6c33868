# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The lines of the output. Each begins with the id of its line of the input and ends with the error, or null.

So a result is known again, and a failed one told from another, without reading it as JSON.
"""

from __future__ import annotations

import json

from ..core.base.json_form import misfit
from ..core.llama.answers import CHAT
from .json_lines import NotJson, as_json, parse

#: What every id and so every line begins with.
BEGINNING = b'{"id": "batch_req_'
FINE = b'"error": null}\n'


class NotAnAnswer(ValueError):
    """The server's answer is of another kind than was asked for."""


class Form:
    """How the results of some lines are written; ``line`` is the line of the input, ``custom_id`` its name for it."""

    def __init__(self, line, custom_id=None):
        self._line = line
        self._custom_id = custom_id

    def answered(self, text, answer):
        """The result of a line that the server answered with the JSON document ``text``, parsed as ``answer``."""
        raise NotImplementedError

    def failed(self, code, message, status=None, text=""):
        """The result of a line that failed, maybe with the HTTP ``status`` and the ``text`` of its answer."""
        return self._written(**self._of_failure(status, text), error={"code": code, "message": message})

    def _of_failure(self, status, text):
        """The keys of a failed line but for its error."""
        raise NotImplementedError

    def _written(self, **parts):
        return as_json({"id": self._line.id, **parts}) + b"\n"


class OpenAI(Form):
    """https://platform.openai.com/docs/guides/batch (the output file). An HTTP error stands in both places."""

    def answered(self, text, answer):
        if "\n" in text or "\r" in text:
            text = json.dumps(answer)
        request_id = answer.get("id")
        head = {"id": self._line.id, "custom_id": self._custom_id}
        response = b'{"status_code": 200, "request_id": %s, "body": %s}' % (as_json(request_id), text.encode())
        return b'%s, "response": %s, %s' % (as_json(head)[:-1], response, FINE)

    def _of_failure(self, status, text):
        response = None
        if status is not None:
            try:
                body = parse(text)
            except NotJson:
                body = {"error": {"message": text}}
            response = {"status_code": status, "request_id": None, "body": body}
        return {"custom_id": self._custom_id, "response": response}


class Plain(Form):
    """The text of the answer and what belongs to it."""

    def answered(self, text, answer):
        if misfit(answer, CHAT) or not answer["choices"]:
            raise NotAnAnswer("it is no answer of a chat model")
        choice = answer["choices"][0]
        content = (choice.get("message") or {}).get("content") or ""
        shown = {"answer": content, "finish_reason": choice.get("finish_reason"), "usage": answer.get("usage")}
        return self._written(**self._named(), **shown, error=None)

    def _of_failure(self, status, text):
        return {**self._named(), "answer": None, "finish_reason": None, "usage": None}

    def _named(self):
        custom_id = {} if self._custom_id is None else {"custom_id": self._custom_id}
        return {"index": self._line.index, **custom_id}


class Unknown(Form):
    """A line that cannot be told to be in the one form or the other has the keys of both."""

    def _of_failure(self, status, text):
        return {"index": self._line.index, "custom_id": None, "response": None, "answer": None}
