# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The talking server of ``tests/support``."""

import json
import os
import signal
import subprocess
import sys

import pytest
from support.runner_host import SERVER


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*words):
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        server = subprocess.Popen(
            [sys.executable, SERVER, fifo, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"A": "b"}
        )
        started.append(server)
        assert server.stdout.readline() == b"ready\n"
        return server, open(fifo, "w", encoding="utf-8", buffering=1)

    yield start
    for server in started:
        server.kill()
        server.communicate()


def test_it_does_what_it_is_told(start, tmp_path):
    server, commands = start()
    commands.write(f"say 3\nsay 1 word\nprint a b\nbytes ff0a\nenvironment\nmake {tmp_path}/made\nexit 7\n")
    *lines, environment = server.stdout.read().splitlines()
    assert lines == [b"line 0.", b"line 1.", b"line 2.", b"word 0.", b"a b", b"\xff"]
    assert json.loads(environment)["A"] == "b"
    assert (server.wait(), (tmp_path / "made").exists()) == (7, True)


def test_it_dies_of_a_signal(start):
    server, commands = start()
    commands.write("die 6\n")
    assert server.wait() == -signal.SIGABRT


@pytest.mark.parametrize(
    ("on_term", "first", "status", "rest"),
    [("exit", [b"SIGTERM"], 0, [b"last words"]), ("insist", [b"SIGTERM"], 1, [b"SIGTERM"])],
)
def test_it_ends_on_sigterm(start, on_term, first, status, rest):
    server, _commands = start(on_term)
    server.terminate()
    assert [server.stdout.readline().strip()] == first
    if status:
        server.terminate()
    assert server.stdout.read().splitlines() == rest
    assert server.wait() == status


def test_it_ignores_sigterm(start):
    server, commands = start("ignore")
    server.terminate()
    assert server.stdout.readline() == b"SIGTERM\n"
    commands.write("print still here\n")
    assert server.stdout.readline() == b"still here\n"
