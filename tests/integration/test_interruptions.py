# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A play that is interrupted or killed is completed by the next one. (In the compile: test_demo.py.)"""

import json
import os
import random
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.progress import LEASE_SUFFIX
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.fault_server import SLICE, FaultServer
from support.model_factory import model_bytes
from support.paths import REPOSITORY
from support.plays import BIN, Play, processes_below, recap

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


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_in_a_download(host, slow_server, how):
    host.config["models"] = {"selftest": {"url": slow_server.url}}
    play = Play(host.command(), REPOSITORY)
    thread = threading.Thread(target=play.wait)
    thread.start()
    assert slow_server.halfway.wait(120), play.output
    (play.interrupt if how == "interrupt" else play.kill)()
    thread.join(30)
    final = host.install / "models" / "selftest.gguf"
    assert not final.exists()
    slow_server.release.set()
    host.play()
    assert final.read_bytes() == MODEL.read_bytes()
    assert not list(final.parent.glob("*.part*"))
    assert host.answers()


def test_at_twenty_moments_of_one_download(tmp_path):
    """Only the task that downloads: the others would only take time."""
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    content = model_bytes(16 * 2**20)
    final, jobs = tmp_path / "models" / "large.gguf", tmp_path / "jobs"
    with FaultServer() as server:
        server.serve("/large.gguf", content)
        server.pace = 0.1
        task = {"macos_setup.llm.gguf_model": {"name": "large", "dest": str(final), "url": server.url("/large.gguf")}}
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))

        def play_into_the_download():
            known = len(server.requests)
            play = Play([BIN / "ansible-playbook", playbook], REPOSITORY, {"ANSIBLE_ASYNC_DIR": str(jobs)})
            assert wait_until(lambda: len(server.requests) > known, 120), play.output
            return play

        for _ in range(20):
            play = play_into_the_download()
            enough = server.sent + chance.randrange(6 * SLICE)
            assert wait_until(lambda enough=enough: server.sent > enough, 60)
            play.interrupt()
            assert not final.exists()
            for lease in jobs.glob("*" + LEASE_SUFFIX):  # as if the time were over for which it waits for a watcher
                os.utime(lease, (0, 0))
        play = play_into_the_download()
        server.pace = 0
        assert play.wait() == 0, play.output
    begins = [int(request.headers.get("range", "bytes=0-")[len("bytes=") : -1]) for request in server.requests]
    assert len(begins) == 21
    assert begins == sorted(begins), "no play begins before what an earlier one fetched"
    assert final.read_bytes() == content
    assert not list(final.parent.glob("*.part*"))
    assert server.sent < 1.1 * len(content)


def test_a_python_in_a_path_with_a_blank_shows_progress_too(host, slow_server):
    python = host.directory / "a python" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    host.config["models"] = {"selftest": {"url": slow_server.url}}
    jobs = host.directory / "jobs"
    command = host.command("-e", json.dumps({"ansible_python_interpreter": str(python)}))
    play = Play(command, REPOSITORY, {"ANSIBLE_ASYNC_DIR": str(jobs)})
    # The other half is held back: the line can only come from a look at work in progress.
    assert play.until(lambda line: slow_server.halfway.is_set() and "| " in line and "%" in line), play.output
    slow_server.release.set()
    assert play.wait() == 0, play.output
    assert host.answers()
    assert not list(jobs.iterdir()), "what Ansible and the progress wrote goes with the play"


STARTING = "Service | Run the server under supervisor"
VERIFYING = "Verify | Ask the server a question"


@pytest.mark.parametrize("how", ["interrupt", "kill"])
@pytest.mark.parametrize("when", [STARTING, VERIFYING])
def test_in_the_start_of_the_service(host, how, when):
    play = Play(host.command(), REPOSITORY)
    assert play.until(lambda line: when in line), play.output
    (play.interrupt if how == "interrupt" else play.kill)()
    host.play()
    assert host.answers()
    output = host.play()
    assert recap(output)["changed"] == 0, output


def test_between_a_change_and_its_restart(host):
    host.play()
    before = processes_below(host.directory)
    host.config["server"]["parallel"] = 3
    play = Play(host.command(), REPOSITORY)
    assert play.until(lambda line: "Service | Make the Python environment" in line), play.output
    play.kill()
    assert wait_until(lambda: processes_below(host.directory) == before, 60), "only what served goes on"
    host.play()
    assert host.option("--parallel") == "3"
    assert not set(before) & set(processes_below(host.directory))
    assert host.starts() == 2
    assert host.answers()
