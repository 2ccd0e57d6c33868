# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The scripted server of ``tests/support`` itself."""

import socket
import ssl

from support.scripted_server import CLOSE, ScriptedServer, event_stream, response, self_signed


def ask(server, context=None):
    host, port = server.url.partition("://")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        connection = context.wrap_socket(plain, server_hostname=host) if context else plain
        connection.sendall(b"POST /x HTTP/1.1\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nbody")
        return b"".join(iter(lambda: connection.recv(100), b""))


def test_sends_its_pieces_and_remembers_the_request():
    with ScriptedServer(b"one ", b"two") as server:
        assert ask(server) == b"one two"
        assert ask(server) == b"one two"
    assert server.requests == [("POST /x HTTP/1.1", {"x-one": "1", "content-length": "4"}, b"body")] * 2


def test_close_ends_the_connection_in_the_middle():
    with ScriptedServer(b"one", CLOSE, b"two") as server:
        assert ask(server) == b"one"


def test_calls_what_can_be_called():
    called = []
    with ScriptedServer(b"one", lambda: called.append(1), b"two") as server:
        assert ask(server) == b"onetwo"
    assert called == [1]


def test_speaks_tls(tmp_path):
    certificate, authority = self_signed(tmp_path)
    with ScriptedServer(b"safe", certificate=certificate) as server:
        assert ask(server, ssl.create_default_context(cafile=authority)) == b"safe"


def test_responses_are_http():
    assert response(200, b"{}").endswith(b"Content-Length: 2\r\n\r\n{}")
    assert event_stream(b"0123456789abcdef")[1:] == [b"10\r\n0123456789abcdef\r\n", b"0\r\n\r\n"]
