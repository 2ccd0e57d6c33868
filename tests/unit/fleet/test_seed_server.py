# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The seed's server among strangers, who may connect as they like and know no token."""

import contextlib
import errno
import hashlib
import os
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.fleet import seed_server

CONTENT = bytes(range(256)) * 16
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FOREVER = 60


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(seed_server, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(seed_server.SeedServer, "timeout", 0.01)


@pytest.fixture
def serve(tmp_path):
    """``serve()`` starts a server of one file in a thread; with ``idle_seconds`` it ends by itself."""
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    found = os.stat(path)
    file = {"path": str(path), "size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}
    with contextlib.ExitStack() as opened:

        def serve(idle_seconds=None):
            listening = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
            server = seed_server.SeedServer(listening, {SHA256: file}, "token")
            server.ended = threading.Event()

            def work():
                if idle_seconds:
                    server.serve(idle_seconds, FOREVER)
                while not idle_seconds and not server.ended.is_set():
                    server.handle_request()
                    server.part_with_the_slow()
                server.ended.set()

            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            opened.callback(thread.join, 5)
            if not idle_seconds:
                opened.callback(server.ended.set)
            return server

        yield serve


def stranger(server):
    return socket.create_connection(server.socket.getsockname(), timeout=10)


def ask(server, token="token"):
    url = "http://127.0.0.1:%d/%s?%s" % (server.socket.getsockname()[1], SHA256, token)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def is_ended(connection):
    """Whether the other side ended the connection, without a word."""
    with contextlib.suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_silent_strangers_make_room_for_who_comes_and_the_oldest_goes_first(serve, monkeypatch):
    monkeypatch.setattr(seed_server, "STRANGERS", 3)
    server = serve()
    crowd = [stranger(server) for _ in range(40)]
    assert ask(server) == CONTENT
    assert len(server._strangers) <= 3
    assert all(is_ended(silent) for silent in crowd[:36])
    for silent in crowd:
        silent.close()


def test_a_request_that_takes_too_long_is_cut_off_however_busily_it_trickles(serve, monkeypatch):
    monkeypatch.setattr(seed_server, "REQUEST_SECONDS", 0.05)
    server = serve()
    with stranger(server) as silent, stranger(server) as trickling:
        with contextlib.suppress(OSError):
            while not server.ended.wait(0.005):
                trickling.sendall(b"x")
        assert is_ended(silent) and is_ended(trickling)
    assert ask(server) == CONTENT


def test_strangers_do_not_keep_it_from_ending(serve):
    server = serve(idle_seconds=0.1)
    with stranger(server), contextlib.suppress(urllib.error.URLError, ConnectionError):
        until = time.monotonic() + 10
        while not server.ended.is_set() and time.monotonic() < until:
            ask(server, "guess")
    assert server.ended.wait(5)


def test_without_descriptors_it_waits_instead_of_trying_at_full_speed(serve, monkeypatch):
    server = serve()
    with stranger(server) as silent:
        while not server._strangers:
            server.ended.wait(0.005)
        refused, paused, real = [], [], server.socket.accept

        class Listening:
            def __getattr__(self, name):
                return getattr(listening, name)

            def accept(self):
                if len(refused) < 3:
                    refused.append(True)
                    raise OSError(errno.EMFILE, "Too many open files")
                return real()

        listening = server.socket
        monkeypatch.setattr(seed_server, "PAUSE_SECONDS", 0)
        monkeypatch.setattr(seed_server.time, "sleep", paused.append)
        server.socket = Listening()
        assert ask(server) == CONTENT
        assert is_ended(silent), "nobody made room"
        assert len(refused) == len(paused) == 3


def test_more_transfers_than_it_has_descriptors_for_are_put_off(serve, monkeypatch):
    monkeypatch.setattr(seed_server, "TRANSFERS", 0)
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(serve())
    assert refused.value.code == 503  # net/http.py tries that again


def test_who_takes_too_long_for_a_piece_is_gone(serve):
    server = serve()
    with stranger(server) as slow:
        while not server._strangers:
            server.ended.wait(0.005)
        (connection,) = server._strangers
        with server.in_use(connection) as go_on:
            go_on()
            assert not server._strangers
            server._transfers[connection] = 0
            assert is_ended(slow)
