# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Connections that are used for more than one request, seen from the server."""

import contextlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import client as llama_api
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import (
    ConnectionLost,
    NotAuthorised,
    ServerError,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.net import kept_alive
from support.scripted_server import CLOSE, SILENCE, ScriptedServer

CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"


class Handler(BaseHTTPRequestHandler):
    """Answers that there are no models. The ``ending`` says how the server then closes the connection, if it does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Tests are silent."""

    def do_GET(self):
        self.server.asked.append(self.client_address)
        refused = "Authorization" not in self.headers
        body = b'{"data": []}'
        self.send_response(401 if refused else 200)
        cut = self.server.ending == "in the middle" and len(self.server.asked) > 1
        self.send_header("Content-Length", str(len(body) + cut))
        if self.server.ending == "said":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        if self.server.ending == "unsaid" or cut:
            self.close_connection = True


@contextlib.contextmanager
def keeping_server(ending=None):
    """Lends a server with its ``url``; the address of the other end of each request is in ``asked``."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.ending, server.daemon_threads = [], ending, True
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_connection_is_used_again():
    with keeping_server() as server, LlamaServer(server.url, "key").kept_alive() as client:
        for _ in range(3):
            client.models()
        client.within(5).models()
    assert len(server.asked) == 4 and len(set(server.asked)) == 1


def test_without_being_told_to_a_client_makes_one_for_each_request():
    with keeping_server() as server:
        client = LlamaServer(server.url, "key")
        client.models()
        client.models()
    assert len(set(server.asked)) == 2


def test_after_a_refusal_too():
    with keeping_server() as server, LlamaServer(server.url).kept_alive() as client:
        for _ in range(2):
            with pytest.raises(NotAuthorised):
                client.models()
    assert len(set(server.asked)) == 1


@pytest.mark.parametrize("seconds", [0, 60], ids=["looked at before", "found out by the request"])
@pytest.mark.parametrize("ending", ["said", "unsaid"])
def test_one_that_the_server_closed_is_replaced(monkeypatch, ending, seconds):
    monkeypatch.setattr(kept_alive, "UNSEEN_SECONDS", seconds)
    with keeping_server(ending) as server, LlamaServer(server.url, "key").kept_alive() as client:
        for _ in range(3):
            assert client.models() == []
    assert len(set(server.asked)) == 3


@pytest.mark.parametrize("pieces", [[CLOSE], [CUT_OFF, CLOSE]], ids=["no answer", "half an answer"])
def test_a_request_over_a_new_connection_is_not_repeated(pieces):
    with ScriptedServer(*pieces) as server, LlamaServer(server.url).kept_alive() as client:
        with pytest.raises(ConnectionLost):
            client.props()
        assert len(server.requests) == 1


def test_nor_one_of_which_a_part_was_answered():
    with keeping_server("in the middle") as server, LlamaServer(server.url, "key").kept_alive() as client:
        client.models()
        with pytest.raises(ConnectionLost):
            client.models()
    assert len(server.asked) == 2 and len(set(server.asked)) == 1


def test_each_thread_has_its_own():
    with keeping_server() as server, LlamaServer(server.url, "key").kept_alive() as client:
        together = threading.Barrier(3)

        def ask():
            for _ in range(20):
                together.wait(10)
                assert client.models() == []

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.asked) == 60 and len(set(server.asked)) <= 3


def test_who_answers_is_proven_once_for_each_connection(monkeypatch):
    looks = []
    real = llama_api.owner_of_peer
    monkeypatch.setattr(llama_api, "owner_of_peer", lambda *arguments: looks.append(1) or real(*arguments))
    with keeping_server() as server, LlamaServer(server.url, "key", owner=os.getuid()).kept_alive() as client:
        for _ in range(3):
            client.models()
        server.ending = "said"
        client.models()
        client.models()
    assert len(looks) == len(set(server.asked)) == 2


def test_the_end_ends_a_request_in_flight():
    failures = []
    with ScriptedServer(SILENCE) as server:

        def ask(client):
            try:
                client.props()
            except ServerError as error:
                failures.append(error)

        with LlamaServer(server.url, timeout=60).kept_alive() as client:
            thread = threading.Thread(target=ask, args=(client,))
            thread.start()
            wait_until(lambda: server.requests, 10, 0.01)
        thread.join(10)
        assert [type(error) for error in failures] == [ConnectionLost]
        with pytest.raises(ServerError):
            client.props()
