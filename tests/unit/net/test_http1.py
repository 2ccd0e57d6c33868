# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Answers of HTTP/1.1, in whatever pieces they come."""

import contextlib
import socket
import threading

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http1 import BadAnswer, Connection, Incomplete
from support.scripted_server import CLOSE, ScriptedServer

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def connected(*pieces):
    """A connection to a server that answers with these pieces."""
    with ScriptedServer(*pieces) as server:
        host, _, port = server.url.rpartition("//")[2].rpartition(":")
        connection = Connection(host, int(port), 10)
        connection.connect()
        yield connection, server
        connection.close()


def answer(*pieces, path="/"):
    """(response, body) of one request."""
    with connected(*pieces) as (connection, _server):
        connection.request("GET", path, None, {})
        response = connection.getresponse()
        return response, response.read(10**6)


def single_bytes(content):
    return [bytes([byte]) for byte in content]


BODIES = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    "chunks": (CHUNKED + b"3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nX: y\r\n\r\n", False),
    "end of the connection": (b"HTTP/1.1 200 OK\r\n\r\nhello", True),
    "old version": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    "closing": (b"HTTP/1.1 200 OK\r\nconnection: Close\r\nContent-Length: 5\r\n\r\nhello", True),
    "early hints": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
}


@pytest.mark.parametrize("cut", [lambda content: [content], single_bytes], ids=["whole", "single bytes"])
@pytest.mark.parametrize(("content", "closes"), BODIES.values(), ids=BODIES)
def test_a_body_is_read_to_its_end(content, closes, cut):
    response, body = answer(*cut(content))
    assert (response.status, body, response.isclosed(), response.will_close) == (200, b"hello", True, closes)


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        CHUNKED + b"6\r\nhello",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
    ],
)
def test_an_end_before_the_end_is_told(content):
    with pytest.raises(Incomplete):
        answer(content)


@pytest.mark.parametrize(
    "content",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200,
        b"HTTP/1.1 200 OK\r\na: " + b"x" * 100_000,
        CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"what\r\n",
        CHUNKED + b"0\r\n" + b"a: b\r\n" * 200,
    ],
    ids=lambda content: ascii(content[:40]),
)
def test_what_is_not_http_is_refused(content):
    with pytest.raises(BadAnswer):
        answer(content)


def test_a_connection_that_closes_without_an_answer():
    with pytest.raises(ConnectionError):
        answer(CLOSE)


def test_what_is_sent():
    with connected(BODIES["length"][0]) as (connection, server):
        connection.request("POST", "/v1/x", b"{}", {"Accept": "a/b"})
        connection.getresponse().read(10)
        first, headers, body = server.requests[0]
    assert (first, body) == ("POST /v1/x HTTP/1.1", b"{}")
    assert headers["accept"] == "a/b" and headers["host"].startswith("127.0.0.1:")


def test_lines_come_as_they_are_sent():
    """A line is there before the next one is sent, so that it can be shown."""
    read = threading.Event()
    pieces = [CHUNKED, b"9\r\ndata: 1\n\n\r\n", lambda: read.wait(20), b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"]
    with connected(*pieces) as (connection, _server):
        connection.request("GET", "/", None, {})
        response = connection.getresponse()
        assert [response.readline(100) for _ in range(2)] == [b"data: 1\n", b"\n"]
        read.set()
        assert [response.readline(100) for _ in range(3)] == [b"data: 2\n", b"\n", b""]


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        Connection("127.0.0.1", port, 1).connect()
