# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whose process has accepted a connection, as Linux tells it and as macOS does."""

import contextlib
import os
import shutil
import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net import peer
from ansible_collections.macos_setup.llm.plugins.module_utils.net.peer import owner_of_peer
from support.lsof import make_lsof

BRIEFLY, PATIENTLY = 0.05, 30

on_linux = pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="needs Linux")


@contextlib.contextmanager
def listening(host="127.0.0.1", **options):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, **options) as listener:
        yield listener


@contextlib.contextmanager
def connected(listener, host="127.0.0.1"):
    """(the client's end, the server's end)"""
    with socket.create_connection((host, listener.getsockname()[1])) as ours, listener.accept()[0] as theirs:
        yield ours, theirs


def assert_nobody_accepts(connection):
    with pytest.raises(socket.timeout):
        owner_of_peer(connection, BRIEFLY)


@pytest.fixture
def lsof(monkeypatch, tmp_path):
    """``lsof((user, [names]), …)`` makes a stand-in, which is asked where there is no /proc."""
    monkeypatch.setattr(peer, "PROC_NET", str(tmp_path / "none"))
    program = tmp_path / "lsof"
    monkeypatch.setattr(peer, "LSOF", str(program))
    return lambda *users: make_lsof(program, users)


@on_linux
@pytest.mark.parametrize(
    ("bound", "asked", "dual"), [("127.0.0.1", "127.0.0.1", False), ("::1", "::1", False), ("::", "127.0.0.1", True)]
)
def test_linux_names_the_user_of_the_other_end(bound, asked, dual):
    with listening(bound, dualstack_ipv6=dual) as listener, connected(listener, asked) as (ours, _theirs):
        assert owner_of_peer(ours, PATIENTLY) == os.getuid()
        assert ours.gettimeout() is None


@on_linux
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_linux_tells_another_user():
    with listening() as listener, socket.create_connection(listener.getsockname()) as ours:
        pid = os.fork()
        if pid == 0:  # a socket belongs to the user whose process made it, here by accepting the connection
            os.setuid(65534)
            listener.accept()[0].recv(1)
            os._exit(0)
        found = owner_of_peer(ours, PATIENTLY)
        ours.sendall(b".")
        os.waitpid(pid, 0)
    assert found == 65534


@on_linux
def test_a_connection_that_nobody_accepts():
    with listening() as listener, socket.create_connection(listener.getsockname()) as ours:
        assert_nobody_accepts(ours)


@on_linux
def test_a_connection_that_was_closed_instead():
    with listening() as listener, connected(listener) as (ours, theirs):
        theirs.close()
        with pytest.raises(ConnectionError):
            owner_of_peer(ours, PATIENTLY)


def test_lsof_names_the_user_of_the_other_end(lsof, tmp_path):
    with listening() as listener, connected(listener) as (ours, theirs):
        here, there = ("127.0.0.1:%d" % end.getsockname()[1] for end in (ours, theirs))
        lsof((502, [f"{here}->{there}"]), (501, ["*:1", f"{there}->127.0.0.1:1", f"{there}->{here}"]))
        assert owner_of_peer(ours, PATIENTLY) == 501
        asked = (tmp_path / "lsof.asked").read_text()
        assert asked == f"-nP -w -iTCP:{listener.getsockname()[1]} -Fun\n"


def test_lsof_may_write_an_address_as_a_socket_of_both_kinds_has_it(lsof):
    with listening() as listener, connected(listener) as (ours, theirs):
        here, there = ("[::ffff:127.0.0.1]:%d" % end.getsockname()[1] for end in (ours, theirs))
        lsof((501, [f"{there}->{here}"]))
        assert owner_of_peer(ours, PATIENTLY) == 501


def test_lsof_shows_an_ordinary_user_nobody_elses_processes(lsof):
    """All it shows is this end of the connection."""
    with listening() as listener, connected(listener) as (ours, theirs):
        lsof((501, ["127.0.0.1:%d->127.0.0.1:%d" % (ours.getsockname()[1], theirs.getsockname()[1])]))
        assert owner_of_peer(ours, PATIENTLY) is None


def test_lsof_shows_who_listens_and_has_not_accepted_yet(lsof):
    with listening() as listener, socket.create_connection(listener.getsockname()) as ours:
        lsof((501, ["127.0.0.1:%d" % listener.getsockname()[1]]))
        assert_nobody_accepts(ours)


def test_without_lsof_nothing_can_be_told(lsof):
    with listening() as listener, connected(listener) as (ours, _theirs):
        assert owner_of_peer(ours, PATIENTLY) is None


@pytest.mark.skipif(not shutil.which("lsof"), reason="needs lsof")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_lsof_of_this_machine_is_understood(monkeypatch, lsof, host):
    monkeypatch.setattr(peer, "LSOF", shutil.which("lsof"))
    with listening(host) as listener, connected(listener, host) as (ours, _theirs):
        assert owner_of_peer(ours, PATIENTLY) == os.getuid()
