# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From a line of the input to its result."""

from __future__ import annotations

import threading

from ..core.llama.errors import NotAnswering, NotAuthorised, ServerError
from ..user_files import new_conversation_id
from .json_lines import NotJson, parse
from .patience import EndsServer, passes
from .requests import Refused
from .results import NotAnAnswer

#: Enough for many threads that begin within a second.
LETTERS = 8


class Asking:
    """``asking(line)`` is the result of ``line``, as bytes: an answer, or why there is none.

    Raises ServerError only for what concerns every line: the server is gone, or does not accept us.

    The lines of each thread are a conversation of their own: a gateway would send all requests of none to one host.
    """

    def __init__(self, server, reader, patience, tally):
        self._server, self._reader, self._patience, self._tally = server, reader, patience, tally
        self._own = threading.local()

    def __call__(self, line):
        try:
            request = self._reader.request(line)
        except Refused as error:
            return error.form.failed(error.code, str(error))
        form = request.form
        try:
            text = self._patience.ask(self._server_of_thread().post, request.path, request.document)
            answer = parse(text)
            if not isinstance(answer, dict):
                raise NotAnAnswer("it is not a JSON object")
            result = form.answered(text, answer)
        except (NotJson, NotAnAnswer, RecursionError) as error:
            return form.failed("invalid_answer", f"the server's answer cannot be used: {error}")
        except EndsServer as error:
            return form.failed("connection_lost", str(error))
        except NotAnswering as error:
            return form.failed("timeout", str(error))
        except ServerError as error:
            if error.status is None or passes(error) or isinstance(error, NotAuthorised):
                raise
            return form.failed(f"http_{error.status}", error.reason, error.status, error.answer)
        self._tally.count_answer(tokens_of(answer), is_cut_off(answer))
        return result

    def _server_of_thread(self):
        if not hasattr(self._own, "server"):
            self._own.server = self._server.in_conversation(new_conversation_id(letters=LETTERS))
        return self._own.server


def tokens_of(answer):
    """How many tokens an answer has; of its prompt where it has none, as an embedding."""
    usage = answer.get("usage")
    numbers = [usage.get(name) for name in ("completion_tokens", "prompt_tokens")] if isinstance(usage, dict) else []
    return next((number for number in numbers if isinstance(number, int) and number), 0)


def is_cut_off(answer):
    """Whether the answer met --max-tokens, or the end of the context."""
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(choice, dict) and choice.get("finish_reason") == "length"
