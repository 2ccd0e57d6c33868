# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What answers may be any program: an answer of another form than llama-server's is one line, wherever it differs."""

import copy
import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.json_form import NUMBER, Needed, OneOf, misfit
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import answers as llama_answers
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import client as llama_api
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import ServerError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import sample_answer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.readiness import identify
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.probe import look_at
from support.scripted_server import ScriptedServer, event_stream, response

ODD = (5, "x", [], {}, None, True, [[]], {"a": 1}, [None], 10**18, 0.5)

ANSWERS = {
    "/props": {"build_info": "b1", "role": "model", "is_sleeping": False},
    "/v1/models": {
        "data": [{"id": "a", "aliases": ["b"], "meta": {"n_ctx": 5, "size": 9}, "status": {"value": "loaded"}}]
    },
    "/slots": [{"is_processing": True, "id_task": 1, "next_token": [{"n_decoded": 1}]}],
    "/completion": {"content": "a"},
    "/v1/embeddings": {"data": [{"embedding": [0.5]}]},
    "/v1/rerank": {"results": [{"index": 0, "relevance_score": 1}, {"index": 1, "relevance_score": 1}]},
    "/v1/chat/completions": {
        "choices": [{"message": {"content": "hi", "reasoning_content": "so"}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 1},
        "timings": {"predicted_per_second": 5.0},
    },
}


class Answering(LlamaServer):
    """A server that answers what ``answers`` has by path."""

    def __init__(self, answers):
        super().__init__("http://127.0.0.1:1")
        self.answers = answers

    def _json(self, method, path, body=None, with_key=True, form=llama_answers.OBJECT):
        return self._parse(json.dumps(self.answers[path.partition("?")[0]]), form)


def changed(value):
    """Copies of a JSON value with something odd in each of its places, or nothing."""
    yield from ODD
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for other in changed(value[key]):
            copied = copy.copy(value)
            copied[key] = other
            yield copied
        if isinstance(value, dict):
            yield {name: part for name, part in value.items() if name != key}


def uses(server):
    """All that is made of answers, beside what the commands print of them."""
    yield lambda: identify(server)
    yield lambda: look_at(server, 1)
    for purpose in ("chat", "embedding", "rerank"):
        yield lambda purpose=purpose: sample_answer(server, "a", purpose)
        yield lambda purpose=purpose: look_at(server, 1, model="a", purposes={"a": purpose})


@pytest.mark.parametrize("path", ANSWERS)
def test_no_answer_is_an_exception_of_another_kind(path):
    for role in ("model", "router"):
        answers = {**ANSWERS, "/props": {**ANSWERS["/props"], "role": role}}
        for use in uses(Answering(answers)):
            use()
        for answer in changed(answers[path]):
            for use in uses(Answering({**answers, path: answer})):
                try:
                    use()
                except LlamaCppError as error:
                    assert len(str(error)) < 1000, answer


@pytest.mark.parametrize(
    "event",
    [5, {"choices": 5}, {"choices": [{"delta": {"content": 5}}]}, {"prompt_progress": {"processed": 1}}],
    ids=repr,
)
def test_a_stream_of_something_else(event):
    stream = event_stream(b"data: %s\n\n" % json.dumps(event).encode())
    with ScriptedServer(*stream) as server, pytest.raises(ServerError, match="does not answer"):
        list(LlamaServer(server.url).chat_stream([]))


def test_an_answer_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(llama_api, "MOST_BYTES", 1000)
    with ScriptedServer(response(200, b'{"a": "' + b"x" * 5000)) as server, pytest.raises(ServerError, match="xxx"):
        LlamaServer(server.url).props()


def test_the_reason_of_a_refusal_is_bounded():
    error = LlamaServer("http://127.0.0.1:1")._refusal(500, json.dumps({"error": {"message": "x" * 100_000}}))
    assert len(str(error)) < 2200


@pytest.mark.parametrize(
    ("value", "form", "wrong"),
    [
        ({}, {"a": str}, None),
        ({"a": None, "b": 5}, {"a": str}, None),
        ({}, {"a": Needed(str)}, (("a",), "text")),
        ({"a": None}, {"a": Needed(str)}, (("a",), "text")),
        ({"a": [1, "x"]}, {"a": [int]}, (("a", 1), "a whole number")),
        ([None], [str], ((0,), "text")),
        (True, NUMBER, ((), "a number")),
        (True, bool, None),
        (1, bool, ((), "true or false")),
        ([], {}, ((), "an object")),
        ({}, [], ((), "a list")),
        (5, OneOf(([int], int)), None),
        ("5", OneOf(([int], int)), ((), "a list")),
    ],
    ids=str,
)
def test_forms(value, form, wrong):
    assert misfit(value, form) == wrong
