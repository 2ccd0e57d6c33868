# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Two workers and a head after the play: every known answer, the loss of a worker, and its return."""

import json
import os
import time
from pathlib import Path

import requests

ROOT = Path(os.environ["SCENARIO_HOST"])
PROJECT = Path(__file__).resolve().parents[3]
ANSWERS = json.loads((PROJECT / "roles/llama_cpp/files/selftest/answers.json").read_text())["answers"]
URL = "http://127.0.0.4:18766"
HEAD = ROOT / "head" / "llm"
PATIENCE = 60


def ask(question):
    """The answer of the head, or None where there is none."""
    key = (HEAD / "service" / "api-key").read_text().strip()
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0}
    try:
        reply = requests.post(
            URL + "/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
        )
    except requests.ConnectionError:
        return None
    return reply.json()["choices"][0]["message"]["content"] if reply.ok else None


def supervisor(host, name, verb):
    """Have the service manager of the worker ``name`` start or stop it."""
    service = ROOT / name / "worker" / "service"
    python, config = service / "venv" / "bin" / "python", service / "supervisord.conf"
    host.check_output("%s -m supervisor.supervisorctl -c %s %s ggml-rpc-server", str(python), str(config), verb)


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, (HEAD / "logs" / "llama-server.log").read_text()[-3000:]
        time.sleep(0.2)


def state():
    return json.loads((HEAD / "service" / "run" / "llama-server.json").read_text())


def test_every_known_answer_to_the_letter_from_a_model_that_is_on_the_workers():
    arguments = state()["child"]["argv"]
    assert arguments[arguments.index("--rpc") + 1] == "127.0.0.2:18752,127.0.0.3:18752"
    first, second = arguments[arguments.index("--tensor-split") + 1].split(",")
    assert first == second and int(first) > 0  # the two are one machine
    wrong = [pair for pair in ANSWERS if ask(pair["question"]) != pair["answer"]]
    assert wrong == []


def test_a_lost_worker_takes_the_head_down_in_order_and_it_is_back_when_the_worker_is(host):
    supervisor(host, "worker-1", "stop")
    assert ask(ANSWERS[0]["question"]) is None
    wait_for(
        lambda: state()["child"] is None and state()["why"].startswith("waiting for the RPC worker 127.0.0.2:18752")
    )
    assert not state()["held"] and state()["exits"] == []
    supervisor(host, "worker-1", "start")
    wait_for(lambda: ask(ANSWERS[0]["question"]) == ANSWERS[0]["answer"])
    log = (HEAD / "logs" / "llama-server.log").read_text()
    assert "lost the RPC worker 127.0.0.2:18752" in log


def test_a_head_that_is_killed_does_its_workers_no_harm(host):
    before = {process.pid for process in host.process.filter(comm="ggml-rpc-server") if str(ROOT) in process.args}
    assert len(before) == 2
    os.kill(state()["child"]["pid"], 9)
    wait_for(lambda: ask(ANSWERS[1]["question"]) == ANSWERS[1]["answer"])
    after = {process.pid for process in host.process.filter(comm="ggml-rpc-server") if str(ROOT) in process.args}
    assert after == before
