# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A play that is interrupted or killed is completed by the next one. (In the compile: test_demo.py. While a running
server is replaced: test_changes.py, test_upgrade.py.)
"""

import json
import os
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import LEASE_SUFFIX
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.fault_server import SLICE, FaultServer
from support.model_factory import model_bytes
from support.paths import REPOSITORY
from support.plays import BIN, WITHOUT_TOOLS, Play


def download(directory, server, **variables):
    """A playbook of the one task that downloads; the play's command and environment, and where the model goes."""
    final = directory / "models" / "large.gguf"
    file = {"name": "large", "dest": str(final), "source": {"url": server.url("/large.gguf")}}
    task = {"macos_setup.llm.gguf_model": {"files": [file]}}
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [task]}
    (directory / "playbook.yml").write_text(json.dumps([play]))
    environment = {"ANSIBLE_ASYNC_DIR": str(directory / "jobs")}
    return lambda: Play([BIN / "ansible-playbook", directory / "playbook.yml"], REPOSITORY, environment), final


@pytest.fixture
def origin():
    with FaultServer() as server:
        server.serve("/large.gguf", model_bytes(16 * 2**20))
        server.pace = 0.1
        yield server


def test_an_ended_play_ends_its_download_and_the_next_one_goes_on_with_it(tmp_path, origin):
    """By Ctrl-C and by a kill. (At twenty moments: unit/test_gguf_model.py. Here: that the end gets there at all.)"""
    begin, final = download(tmp_path, origin)
    content = model_bytes(16 * 2**20)

    def play_into_the_download():
        known = len(origin.requests)
        play = begin()
        assert wait_until(lambda: len(origin.requests) > known, 120), play.output
        return play

    play = play_into_the_download()
    enough = origin.sent + 2 * SLICE
    assert wait_until(lambda: origin.sent > enough, 60)
    play.interrupt()
    assert not final.exists()
    for lease in (tmp_path / "jobs").glob("*/*" + LEASE_SUFFIX):  # as if its time without a watcher were over
        os.utime(lease, (0, 0))
    # Killed, a play may leave a worker that sees the download through: the next one waits for it.
    play_into_the_download().kill()
    origin.pace = 0
    play = begin()
    assert play.wait() == 0, play.output
    begins = [int(request.headers.get("range", "bytes=0-")[len("bytes=") : -1]) for request in origin.requests]
    assert len(begins) in (2, 3)
    assert begins == sorted(begins), "no play begins before what an earlier one fetched"
    assert final.read_bytes() == content
    assert not list(final.parent.glob("*.part*"))
    assert origin.sent < 1.1 * len(content)


def test_a_python_in_a_path_that_a_shell_would_change_shows_progress_too(tmp_path, origin):
    python = tmp_path / "a$(exit)python" / "python3"  # a blank is only one of many
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    begin, final = download(tmp_path, origin, ansible_python_interpreter=str(python))
    play = begin()
    # It cannot be complete yet: the line comes from a look at work in progress.
    assert play.until(lambda line: "| " in line and "%" in line), play.output
    assert not final.exists()
    origin.pace = 0
    assert play.wait() == 0, play.output
    assert final.exists()
    assert not list((tmp_path / "jobs").iterdir()), "what Ansible and the progress wrote goes with the play"


def test_in_the_first_start_of_the_service(host):
    host.config["feature_flags"] = WITHOUT_TOOLS
    play = host.begin()
    assert play.until(lambda line: "Service | Run the server under supervisor" in line), play.output
    play.kill()
    host.play("--tags", "llm_service")
    assert host.answers()
    assert not (host.install / "tools").exists()
