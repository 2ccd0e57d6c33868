# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The host after the role: seen from outside, by other means than the role's own. (test_demo.py runs this, too.)"""

import json
import os
import stat
from pathlib import Path

import pytest
import requests

HOST_DIRECTORY = Path(os.environ["SCENARIO_HOST"])
(CLIENT,) = HOST_DIRECTORY.glob("*/tools/client.json")
INSTALL, BIN = CLIENT.parents[1], HOST_DIRECTORY / "bin"
URL = json.loads(CLIENT.read_text())["server"]["url"]
ADDRESS = URL.removeprefix("http://")
MODEL = "selftest"  # one of the two that the demo serves
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."


@pytest.fixture
def key():
    return (INSTALL / "service" / "api-key").read_text().strip()


def ask(headers, timeout=60):
    body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
    return requests.post(URL + "/v1/chat/completions", json=body, headers=headers, timeout=timeout)


def test_the_release_is_complete_and_current(host):
    current = INSTALL / "engine" / "current"
    assert current.is_symlink()
    stamp = json.loads((current / "stamp.json").read_text())
    assert stamp["selftest"]["asked"] >= 104
    for program in ("llama-server", "llama-cli", "llama-bench", "llama-fit-params", "ggml-rpc-server"):
        assert host.file(str(current / "bin" / program)).is_executable
    assert host.run("%s --version", str(current / "bin" / "llama-server")).rc == 0


def test_nothing_of_the_build_is_left(host):
    left = {path.name for path in (INSTALL / "engine").iterdir()}
    assert left == {"releases", "current", "selftest"}
    assert [path.name for path in (INSTALL / "engine" / "releases").iterdir()] == [
        (INSTALL / "engine" / "current").resolve().name
    ]


def test_the_binary_links_nothing_that_an_upgrade_could_take_away(host):
    libraries = host.check_output("ldd %s", str(INSTALL / "engine" / "current" / "bin" / "llama-server"))
    assert "libllama" not in libraries
    assert "libggml" not in libraries
    assert "libssl" not in libraries
    assert "libgomp" not in libraries


def test_the_server_runs_the_current_release_with_a_private_home(host):
    servers = [p for p in host.process.filter(comm="llama-server") if str(INSTALL) in p.args]
    assert servers
    for process in servers:
        executable = os.readlink("/proc/%d/exe" % process.pid)
        assert executable == str((INSTALL / "engine" / "current").resolve() / "bin" / "llama-server")
        environment = Path("/proc/%d/environ" % process.pid).read_bytes().split(b"\0")
        assert b"HOME=" + os.fsencode(INSTALL / "service" / "home") in environment


def test_it_listens_on_loopback_only(host):
    assert host.socket("tcp://" + ADDRESS).is_listening
    port = ADDRESS.partition(":")[2]
    assert not {f"tcp://0.0.0.0:{port}", f"tcp://:::{port}"} & set(host.socket.get_listening_sockets())


def test_it_answers_those_who_know_the_key(key):
    reply = ask({"Authorization": "Bearer " + key})
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_it_refuses_everyone_else(headers):
    assert ask(headers).status_code == 401


def test_a_foreign_web_page_gets_no_permission(key):
    origin = "https://attacker.example"
    reply = ask({"Authorization": "Bearer " + key, "Origin": origin})
    assert reply.headers.get("Access-Control-Allow-Origin") not in ("*", origin)


def test_the_key_is_in_its_file_and_nowhere_else(host, key):
    assert len(key) >= 32
    path = INSTALL / "service" / "api-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert host.run("ps -A -ww -o args").stdout.count(key) == 0
    for parent, _directories, files in os.walk(HOST_DIRECTORY):
        for name in files:
            found = Path(parent, name)
            if found != path and found.is_file():
                assert key.encode() not in found.read_bytes(), found


def test_the_client_answers(host):
    result = host.run("%s -m %s %s", str(BIN / "llm"), MODEL, QUESTION)
    assert (result.rc, result.stdout) == (0, ANSWER + "\n")
    assert host.run("%s health", str(BIN / "llm-client")).rc == 0
    assert host.run("%s --mode health", str(BIN / "llm")).rc == 0


def test_the_manager_reports(host):
    result = host.run("%s status --json", str(BIN / "llm-manager"))
    assert result.rc == 0
    assert json.loads(result.stdout)["service"]["running"] is True
    assert host.run("%s test", str(BIN / "llm-manager")).rc == 0


def test_logs_are_where_the_configuration_says(host):
    assert host.file(str(INSTALL / "logs" / "llama-server.log")).size > 0
