# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The stand-in for llama-server behaves as the real one was seen to; tests/integration compares the two."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from support.fake_server_process import FAKE, fake_server

HELLO = {"messages": [{"role": "user", "content": "Hello!"}]}
ANSWERS = {"Hello!": "Hi.", "Who?": "Me."}
ENDPOINTS = ["/health", "/v1/health", "/props", "/v1/models", "/models"]


def request(url, body=None, **headers):
    """(status, text) of one request."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answer(url, body=HELLO):
    status, text = request(url + "/v1/chat/completions", body)
    assert status == 200
    return json.loads(text)["choices"][0]


def run(*arguments, **environment):
    """A run that ends by itself."""
    command = [sys.executable, str(FAKE), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, env={**os.environ, **environment}, check=False
    )


@pytest.fixture
def start(tmp_path):
    """Starts the stand-in, waits until its port is bound and returns the process."""
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    processes = []

    def start(mode):
        command = [sys.executable, str(FAKE), "--model", str(tmp_path / "model.gguf"), "--port", "0"]
        environment = {**os.environ, "FAKE_LLAMA_MODE": mode}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        processes.append(process)
        assert process.stderr.readline().startswith("listening on ")
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def test_loading_comes_before_the_key_and_ends(tmp_path):
    with fake_server(tmp_path, "loading", key="s3cret") as url:
        for path in ("/health", "/props", "/v1/models"):
            status, text = request(url + path, Authorization="Bearer wrong")
            assert (status, json.loads(text)["error"]["type"]) == (503, "unavailable_error")
        assert request(url + "/health") == (200, '{"status": "ok"}')


@pytest.mark.parametrize("header", [{"Authorization": "Bearer s3cret"}, {"X-Api-Key": "s3cret"}])
def test_the_key_opens_all_but_health(tmp_path, header):
    with fake_server(tmp_path, key="s3cret") as url:
        assert {request(url + path)[0] for path in ENDPOINTS[:2]} == {200}
        assert {request(url + path)[0] for path in ENDPOINTS[2:]} == {401}
        assert {request(url + path, **header)[0] for path in ENDPOINTS} == {200}
        assert request(url + "/v1/chat/completions", HELLO)[0] == 401


def test_a_key_file_of_comments_asks_for_no_key(tmp_path):
    with fake_server(tmp_path, key="# none") as url:
        assert request(url + "/props")[0] == 200


def test_answers_what_it_knows(tmp_path):
    with fake_server(tmp_path, answers=ANSWERS) as url:
        assert answer(url) == {
            "finish_reason": "stop",
            "index": 0,
            "message": {"role": "assistant", "content": "Hi."},
        }
        assert answer(url, {"messages": [{"role": "user", "content": "What?"}]})["message"]["content"] == "?"
        short = answer(url, {**HELLO, "max_tokens": 2})
        assert (short["message"]["content"], short["finish_reason"]) == ("Hi", "length")


def test_a_stream_adds_up_to_the_answer(tmp_path):
    with fake_server(tmp_path, answers=ANSWERS) as url:
        _status, text = request(url + "/v1/chat/completions", {**HELLO, "stream": True})
    *events, last = [event.removeprefix("data: ") for event in text.split("\n\n")[:-1]]
    assert last == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hi."


def test_refuses_what_it_does_not_understand(tmp_path):
    with fake_server(tmp_path) as url:
        assert request(url + "/v1/chat/completions", {"messages": []})[0] == 400
        assert request(url + "/v1/chat/completions", [])[0] == 400
        assert request(url + "/api/tags")[0] == request(url + "/v1/other", {})[0] == 404


def test_wrong_answers_on_demand(tmp_path):
    with fake_server(tmp_path, "nonsense", ANSWERS) as url:
        assert answer(url)["message"]["content"] not in ANSWERS.values()
    with fake_server(tmp_path, "one-wrong", ANSWERS) as url:
        assert answer(url)["message"]["content"] == "Hi."
        assert answer(url, {"messages": [{"role": "user", "content": "Who?"}]})["message"]["content"] == "Hi."


def test_wedged_is_healthy_and_silent(tmp_path):
    with fake_server(tmp_path, "wedged") as url:
        asked = urllib.request.Request(url + "/v1/chat/completions", json.dumps(HELLO).encode())
        with pytest.raises(socket.timeout):
            urllib.request.urlopen(asked, timeout=0.2)
        with pytest.raises(socket.timeout):
            urllib.request.urlopen(url + "/slots", timeout=0.2)
        assert request(url + "/health")[0] == 200


def test_an_idle_slot_keeps_the_number_of_its_last_task(tmp_path):
    with fake_server(tmp_path) as url:
        assert json.loads(request(url + "/slots")[1]) == [
            {"id": 0, "n_ctx": 256, "speculative": False, "is_processing": False}
        ]
        status, text = request(url + "/completion", {"prompt": "Hello!", "n_predict": 1})
        assert (status, json.loads(text)["tokens_predicted"]) == (200, 1)
        (slot,) = json.loads(request(url + "/slots")[1])
    assert (slot["is_processing"], slot["id_task"], slot["next_token"][0]["n_decoded"]) == (False, 1, 0)


@pytest.mark.parametrize(("mode", "steps"), [("busy", 1), ("stuck", 0)])
def test_a_slot_that_works_moves_or_stands_still(tmp_path, mode, steps):
    with fake_server(tmp_path, mode) as url:
        first, second = (json.loads(request(url + "/slots")[1])[0] for _ in range(2))
        with pytest.raises(socket.timeout):
            urllib.request.urlopen(url + "/completion", b'{"prompt": "x"}', timeout=0.2)
    assert first["is_processing"] and first["id_task"] == second["id_task"]
    assert second["next_token"][0]["n_decoded"] - first["next_token"][0]["n_decoded"] == steps


def test_a_sleeper_is_woken_by_what_needs_the_model_only(tmp_path):
    def sleeps():
        return json.loads(request(url + "/props")[1])["is_sleeping"]

    with fake_server(tmp_path, "sleeping") as url:
        assert sleeps() and request(url + "/v1/models")[0] == 200 and sleeps()
        assert request(url + "/slots")[0] == 200 and not sleeps()


def test_one_that_wakes_up_is_healthy_and_silent_about_itself(tmp_path):
    with fake_server(tmp_path, "waking") as url:
        assert request(url + "/health")[0] == 200
        with pytest.raises(socket.timeout):
            urllib.request.urlopen(url + "/props", timeout=0.2)


def test_fails_after_the_first_completion(tmp_path):
    with fake_server(tmp_path, "failing") as url:
        assert answer(url)["message"]["content"] == "?"
        status, text = request(url + "/completion", {"prompt": "x"})
        assert (status, json.loads(text)["error"]["message"]) == (500, "Compute error.")


def test_may_keep_its_slots_to_itself(tmp_path):
    with fake_server(tmp_path, "no-slots") as url:
        assert request(url + "/slots")[0] == 501


def test_argument_errors_are_exit_1(tmp_path):
    assert run("--mlock").returncode == 1
    assert "invalid argument: --mlock" in run("--mlock").stderr
    assert run().returncode == 1
    assert run("--model", str(tmp_path / "missing"), "--port", "0").returncode == 1
    assert run("--model", str(FAKE), "--port", "0", "--api-key-file", str(tmp_path / "missing")).returncode == 1
    assert run("--model", str(FAKE), "--port", "0", FAKE_LLAMA_MODE="dies").returncode == 1


def test_a_taken_port_is_exit_1():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        done = run("--model", str(FAKE), "--port", str(holder.getsockname()[1]))
    assert done.returncode == 1
    assert "couldn't bind HTTP server socket" in done.stderr


def test_tells_version_and_devices():
    assert run("--version").stderr.startswith("version: ")
    assert run("--list-devices").stdout == "Available devices:\n  (none)\n"
    assert run("--list-devices", FAKE_LLAMA_DEVICES="MTL0: Apple M2").stdout == "Available devices:\n  MTL0: Apple M2\n"


@pytest.mark.parametrize(("mode", "code"), [("ready", 0), ("loading-forever", -signal.SIGTERM)])
def test_term_is_clean_only_when_ready(start, mode, code):
    process = start(mode)
    process.terminate()
    assert process.wait(10) == code


def test_ignores_term_on_demand(start):
    process = start("ignores-term")
    process.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)


def test_loading_can_end_or_fail_by_itself(start):
    assert "listening on http://127.0.0.1:" in start("loading-slowly").stderr.readline()
    assert start("dies-loading").wait(10) == 1


def test_can_crash_at_a_completion(tmp_path):
    with fake_server(tmp_path, "crashes") as url:
        assert request(url + "/health")[0] == 200
        with pytest.raises(OSError):  # the connection breaks, in one of several ways
            request(url + "/v1/chat/completions", HELLO)
