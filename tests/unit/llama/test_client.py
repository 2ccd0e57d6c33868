# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The client of llama-server's HTTP interface, against exact bytes."""

import json
import os
import socket
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import client as llama_api
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import (
    NotAuthorised,
    NotRunning,
    ServerError,
    StillLoading,
    Stranger,
)
from support.scripted_server import CLOSE, SILENCE, ScriptedServer, event_stream, response, self_signed

HELLO = [{"role": "user", "content": "Hello"}]


def as_json(value):
    return json.dumps(value).encode()


def refusal(status, message, kind="some_error"):
    return response(status, as_json({"error": {"code": status, "message": message, "type": kind}}))


def delta(text):
    return {"choices": [{"delta": {"content": text}}]}


def event(value):
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def answer_of(events):
    return "".join(choice["delta"]["content"] for event in events for choice in event["choices"])


@pytest.fixture
def unused_url():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


# Requests and whole replies


def test_slots_are_a_list():
    slots = [{"id": 0, "is_processing": False}]
    with ScriptedServer(response(200, as_json(slots))) as server:
        assert LlamaServer(server.url).slots() == slots
    assert server.requests[0][0] == "GET /slots HTTP/1.1"
    with ScriptedServer(response(200, b"{}")) as server, pytest.raises(ServerError, match="does not answer like"):
        LlamaServer(server.url).slots()


def test_complete_sends_the_prompt_as_it_is():
    reply = {"content": "!", "tokens_predicted": 1}
    with ScriptedServer(response(200, as_json(reply))) as server:
        assert LlamaServer(server.url).complete("Hello", n_predict=1) == reply
    first, _headers, body = server.requests[0]
    assert first == "POST /completion HTTP/1.1"
    assert json.loads(body) == {"prompt": "Hello", "n_predict": 1}
    with ScriptedServer(response(200, b"{}")) as server, pytest.raises(ServerError, match="does not answer like"):
        LlamaServer(server.url).complete("Hello")


def test_chat_sends_messages_and_options_as_json():
    reply = {"choices": [{"message": {"content": "Grüß Gott"}}]}
    with ScriptedServer(response(200, json.dumps(reply, ensure_ascii=False).encode())) as server:
        assert LlamaServer(server.url).chat(HELLO, max_tokens=3, temperature=0) == reply
    first, headers, body = server.requests[0]
    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {"messages": HELLO, "max_tokens": 3, "temperature": 0}


@pytest.mark.parametrize(("key", "sent"), [("secret 1", "Bearer secret 1"), (None, None), ("", None)])
def test_key_travels_as_bearer(key, sent):
    with ScriptedServer(response(200, b"{}")) as server:
        LlamaServer(server.url, key).props()
    assert server.requests[0][1].get("authorization") == sent


def test_the_key_is_told_to_the_owners_process_only():
    with ScriptedServer(response(200, b"{}")) as server:
        assert LlamaServer(server.url, "s3cret", owner=os.getuid()).props() == {}
        with pytest.raises(Stranger, match="the API key was not sent") as caught:
            LlamaServer(server.url, "s3cret", owner=os.getuid() + 1).chat(HELLO)
    assert "lsof -nP" in str(caught.value) and "s3cret" not in str(caught.value)
    first, *others = server.requests
    assert first[1]["authorization"] == "Bearer s3cret"
    assert not others  # not even the question was


def test_a_key_is_not_told_where_none_is_needed():
    with ScriptedServer(response(200, b"{}")) as server:
        assert LlamaServer(server.url, "s3cret", owner=os.getuid() + 1).health() == "ready"
    assert [headers.get("authorization") for _first, headers, _body in server.requests] == [None]


def test_health_behind_a_prefix_wants_the_key():
    with ScriptedServer(refusal(401, "Invalid API Key")) as server, pytest.raises(NotAuthorised):
        LlamaServer(server.url + "/api", "s3cret").health()
    assert [headers.get("authorization") for _first, headers, _body in server.requests] == [None, "Bearer s3cret"]


def test_who_accepts_nothing_is_silent_and_learns_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(ServerError, match=r"nothing for 0\.1 s"):
        LlamaServer("http://127.0.0.1:%d" % listener.getsockname()[1], "s3cret", 0.1, owner=os.getuid()).props()


def test_props_and_models():
    with ScriptedServer(response(200, as_json({"build_info": "b1-0c1e570", "data": [{"id": "tiny"}]}))) as server:
        client = LlamaServer(server.url)
        assert client.props()["build_info"] == "b1-0c1e570"
        assert client.models() == [{"id": "tiny"}]
    assert [request[0] for request in server.requests] == ["GET /props HTTP/1.1", "GET /v1/models HTTP/1.1"]


@pytest.mark.parametrize("suffix", ["/api", "/api/", "/api/v1", "/api/v1/"])
def test_prefix_of_the_url_is_kept_and_v1_understood(suffix):
    with ScriptedServer(response(200, b"{}")) as server:
        client = LlamaServer(server.url + suffix)
        client.props()
    assert client.base_url == server.url + "/api"
    assert server.requests[0][0] == "GET /api/props HTTP/1.1"


def test_no_proxy_is_ever_used(monkeypatch, unused_url):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, unused_url)
    with ScriptedServer(response(200, b"{}")) as server:
        assert LlamaServer(server.url).props() == {}


# Refusals and failures


def test_health_tells_loading_from_ready():
    with ScriptedServer(response(200, as_json({"status": "ok"}))) as server:
        assert LlamaServer(server.url).health() == "ready"
    with ScriptedServer(refusal(503, "Loading model", "unavailable_error")) as server:
        assert LlamaServer(server.url).health() == "loading"


def test_a_refusal_tells_when_to_come_again():
    busy = refusal(429, "Too many")
    with (
        ScriptedServer(busy.replace(b"\r\n", b"\r\nRetry-After: 7\r\n", 1)) as server,
        pytest.raises(ServerError) as caught,
    ):
        LlamaServer(server.url).chat(HELLO)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (503, "Loading model", StillLoading),
        (401, "Invalid API Key", NotAuthorised),
        (403, "Forbidden here", NotAuthorised),
        (503, "no slot available", ServerError),
        (400, "the request exceeds the available context size", ServerError),
        (500, "failed to load", ServerError),
        (501, "This server does not support embeddings", ServerError),
    ],
)
def test_refusals_have_their_kind_and_keep_the_words_of_the_server(status, message, kind):
    with ScriptedServer(refusal(status, message)) as server, pytest.raises(ServerError) as caught:
        LlamaServer(server.url, "s3cret").chat(HELLO)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (status, message)
    assert server.url in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "body", [b"<html>Bad Gateway</html>", b'{"error": "plain words"}', b'"text"', b"", b"\xff\xfe"]
)
def test_refusals_of_other_programs_are_reported_too(body):
    with ScriptedServer(response(502, body)) as server, pytest.raises(ServerError) as caught:
        LlamaServer(server.url).props()
    assert caught.value.status == 502


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[1, 2]", b"{}"])
def test_an_answer_that_is_none_is_refused(body):
    with ScriptedServer(response(200, body)) as server, pytest.raises(ServerError, match="does not answer like"):
        LlamaServer(server.url).chat(HELLO)


def test_redirects_are_not_followed():
    elsewhere = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with ScriptedServer(elsewhere) as server, pytest.raises(ServerError) as caught:
        LlamaServer(server.url).props()
    assert caught.value.status == 302


def test_refused_connection_is_not_running(unused_url):
    with pytest.raises(NotRunning) as caught:
        LlamaServer(unused_url).health()
    assert caught.value.status is None
    assert "refused" in caught.value.reason.lower()


@pytest.mark.parametrize("pieces", [[CLOSE], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", CLOSE]])
def test_server_that_goes_away(pieces):
    with ScriptedServer(*pieces) as server, pytest.raises(ServerError):
        LlamaServer(server.url).props()


def test_not_http_at_all():
    with ScriptedServer(b"220 mail.example.org ESMTP\r\n") as server, pytest.raises(ServerError, match="220 mail"):
        LlamaServer(server.url).props()


def test_silence_ends_at_the_timeout():
    with ScriptedServer(SILENCE) as server, pytest.raises(ServerError, match=r"nothing for 0\.2 s"):
        LlamaServer(server.url, timeout=0.2).props()


def trickle(piece):
    """Pieces that keep a connection alive and come to no end: each within any timeout."""
    return [step for _ in range(100) for step in (piece, lambda: time.sleep(0.05))]


BODY = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *trickle(b" ")]


@pytest.mark.parametrize(
    ("pieces", "secure"),
    [
        ([b"HTTP/1.1 200 OK\r\nX: ", *trickle(b"x")], False),
        ([*trickle(b"HTTP/1.1 100 Continue\r\n\r\n")], False),
        (BODY, False),
        (BODY, True),
        ([b"HTTP/1.1 500 Oh\r\n\r\n", *trickle(b" ")], False),
    ],
    ids=["head", "continue", "body", "body over TLS", "refusal"],
)
def test_an_answer_that_comes_byte_by_byte_is_given_up(tmp_path, pieces, secure):
    certificate = self_signed(tmp_path)[0] if secure else None
    with ScriptedServer(*pieces, certificate=certificate) as server:
        began = time.monotonic()
        client = LlamaServer(server.url, timeout=0.2, certificate=certificate and str(certificate))
        with pytest.raises(ServerError, match="no whole answer") as caught:
            client.health()
        assert isinstance(caught.value.__cause__, socket.timeout)  # by which the watchdog knows that it is silent
        assert time.monotonic() - began < 3


def test_a_long_thought_is_no_failure_to_connect(monkeypatch):
    """Connecting has a limit of its own, which must not hold for the answer."""
    monkeypatch.setattr(llama_api, "CONNECT_SECONDS", 0.05)
    with ScriptedServer(lambda: time.sleep(0.2), response(200, b"{}")) as server:
        assert LlamaServer(server.url, timeout=60).props() == {}


# The stream


def test_stream_yields_the_events_in_order():
    pieces = event_stream(event(delta("one ")), event(delta("two")), b"data: [DONE]\n\n")
    with ScriptedServer(*pieces) as server:
        assert answer_of(LlamaServer(server.url).chat_stream(HELLO, seed=1)) == "one two"
    assert json.loads(server.requests[0][2]) == {"messages": HELLO, "stream": True, "seed": 1}


def test_stream_may_be_cut_anywhere_even_in_a_character():
    text = "Grüße, 日本 🦙"
    whole = b":\n\n" + event(delta(text)) + b":ping\r\n\r\n" + event(delta("!")) + b"data: [DONE]\n\n"
    bytewise = [whole[index : index + 1] for index in range(len(whole))]
    with ScriptedServer(*event_stream(*bytewise)) as server:
        assert answer_of(LlamaServer(server.url).chat_stream(HELLO)) == text + "!"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_stream_of_another_writer(end):
    """Several data lines make one value; other fields, missing blanks and comments are no trouble."""
    lines = [
        b": hello",
        b"event: message",
        b"id: 7",
        b'data:{"choices":',
        b"data: []}",
        b"",
        b"",
        b"data: [DONE]",
        b"",
        b"",
    ]
    with ScriptedServer(*event_stream(end.join(lines))) as server:
        assert list(LlamaServer(server.url).chat_stream(HELLO)) == [{"choices": []}]


def test_events_arrive_while_the_server_still_works():
    head, first, *_ = event_stream(event(delta("one")))
    with ScriptedServer(head, first, SILENCE) as server:
        stream = LlamaServer(server.url).chat_stream(HELLO)
        assert answer_of([next(stream)]) == "one"
        stream.close()


def test_error_inside_the_stream_is_raised_after_what_came_before():
    failure = {"error": {"code": 500, "message": "Compute error.", "type": "server_error"}}
    with ScriptedServer(*event_stream(event(delta("one")), event(failure))) as server:
        stream = LlamaServer(server.url).chat_stream(HELLO)
        assert answer_of([next(stream)]) == "one"
        with pytest.raises(ServerError) as caught:
            next(stream)
    assert (caught.value.status, caught.value.reason) == (500, "Compute error.")


@pytest.mark.parametrize("cut", [1, 2])
def test_stream_without_its_end_is_a_failure(cut):
    """The server was stopped: with the last chunk (its clean shutdown) or without."""
    pieces = event_stream(event(delta("one")))[: cut + 1]
    with ScriptedServer(*pieces) as server, pytest.raises(ServerError, match="middle of its answer"):
        list(LlamaServer(server.url).chat_stream(HELLO))


def test_refusal_of_a_stream():
    with ScriptedServer(refusal(401, "Invalid API Key")) as server, pytest.raises(NotAuthorised):
        next(LlamaServer(server.url).chat_stream(HELLO))


# Parameters


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:99999",
        "http://a b/",
        "http://h/\n",
        "http://a..b",
        "http://" + "a" * 64,
        "http://[:::]",
    ],
)
def test_unusable_urls_are_refused(url):
    with pytest.raises(LlamaCppError):
        LlamaServer(url)


@pytest.mark.parametrize("url", ["http://me:s3cret@host", "http://host?key=s3cret", "http://host#s3cret"])
def test_secrets_in_urls_are_refused_without_being_repeated(url):
    with pytest.raises(LlamaCppError) as caught:
        LlamaServer(url)
    assert "s3cret" not in str(caught.value)
