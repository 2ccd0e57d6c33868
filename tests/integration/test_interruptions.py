# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A play that is interrupted or killed is completed by the next one. (In the compile: test_demo.py. While a running
server is replaced: test_changes.py, test_upgrade.py.)
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.progress import LEASE_SUFFIX
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.fault_server import SLICE, FaultServer
from support.model_factory import model_bytes
from support.paths import REPOSITORY
from support.plays import BIN, WITHOUT_TOOLS, Play

MODEL = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"


class SlowServer:
    """Serves the self-test model, and holds back its second half until ``release`` is set."""

    def __init__(self):
        self.release, self.halfway = threading.Event(), threading.Event()
        outer, data = self, MODEL.read_bytes()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                half = len(data) // 2
                self.wfile.write(data[:half])
                self.wfile.flush()
                outer.halfway.set()
                outer.release.wait(60)
                self.wfile.write(data[half:])

            def do_HEAD(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/selftest.gguf" % self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def slow_server():
    server = SlowServer()
    yield server
    server.close()


def test_in_a_download(host, slow_server):
    host.config["models"] = {"selftest": {"url": slow_server.url}}
    play = host.begin("--tags", "llm_models")
    thread = threading.Thread(target=play.wait)
    thread.start()
    assert slow_server.halfway.wait(120), play.output
    play.kill()
    thread.join(30)
    final = host.install / "models" / "selftest.gguf"
    assert not final.exists()
    slow_server.release.set()
    host.play("--tags", "llm_models")
    assert final.read_bytes() == MODEL.read_bytes()
    assert not list(final.parent.glob("*.part*"))


def download(directory, server, **variables):
    """A playbook of the one task that downloads; the play's command and environment, and where the model goes."""
    final = directory / "models" / "large.gguf"
    task = {"macos_setup.llm.gguf_model": {"name": "large", "dest": str(final), "url": server.url("/large.gguf")}}
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


def test_ctrl_c_ends_a_download_that_the_next_play_goes_on_with(tmp_path, origin):
    """(At twenty moments, killed as well: unit/test_gguf_model.py. Here: that Ctrl-C gets there at all.)"""
    begin, final = download(tmp_path, origin)
    content = model_bytes(16 * 2**20)

    def play_into_the_download():
        known = len(origin.requests)
        play = begin()
        assert wait_until(lambda: len(origin.requests) > known, 120), play.output
        return play

    for _ in range(3):
        play = play_into_the_download()
        enough = origin.sent + 2 * SLICE
        assert wait_until(lambda enough=enough: origin.sent > enough, 60)
        play.interrupt()
        assert not final.exists()
        for lease in (tmp_path / "jobs").glob("*" + LEASE_SUFFIX):  # as if its time without a watcher were over
            os.utime(lease, (0, 0))
    play = play_into_the_download()
    origin.pace = 0
    assert play.wait() == 0, play.output
    begins = [int(request.headers.get("range", "bytes=0-")[len("bytes=") : -1]) for request in origin.requests]
    assert len(begins) == 4
    assert begins == sorted(begins), "no play begins before what an earlier one fetched"
    assert final.read_bytes() == content
    assert not list(final.parent.glob("*.part*"))
    assert origin.sent < 1.1 * len(content)


def test_a_python_in_a_path_with_a_blank_shows_progress_too(tmp_path, origin):
    python = tmp_path / "a python" / "python3"
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
