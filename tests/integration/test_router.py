# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several models behind llama-server's own router: loaded when asked for, guarded, looked after, gone when stopped."""

import json
import os
import shutil
import signal
import urllib.error
import urllib.request

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.paths import REPOSITORY
from support.plays import recap

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris.\n"


@pytest.fixture
def several(host):
    """A host with the self-test model and two copies of it, of which one has another purpose; two fit at once."""
    own = host.directory / "own models"
    own.mkdir()
    for name in ("second, of two.gguf", "vectors.gguf"):
        shutil.copy(SELFTEST, own / name)
    host.config["models"].update(
        second={
            "path": str(own / "second, of two.gguf"),
            "aliases": ["zwei"],
            "context_size": 128,
            "arguments": {"chat-template-kwargs": '{"note": "a;b # c"}', "n-predict": 32},
        },
        vectors={"path": str(own / "vectors.gguf"), "purpose": "embedding", "arguments": {"pooling": "mean"}},
    )
    host.config["server"]["max_loaded_models"] = 2
    return host


def states(host):
    listing = host.run("llm", "models", "--json")
    assert listing.returncode == 0, listing.stderr
    return {model["name"]: model["state"] for model in json.loads(listing.stdout)["models"]}


def model_processes(host):
    """The llama-servers of models, which are none but the children of the router."""
    below = str(host.directory)
    return processes.find(lambda process: process.mentions(below) and process.has_arguments("--alias"))


def test_models_are_switched_guarded_stopped_and_changed(several):
    host = several
    output = host.play()
    assert recap(output)["failed"] == 0 and "selftest answers" in output
    assert states(host) == {"selftest": "loaded", "second": "unloaded", "vectors": "unloaded"}
    verified = host.run("llm-manager", "verify")
    assert "selftest: right" in verified.stdout
    assert verified.returncode == 1 and "second, vectors: not verified" in verified.stderr
    again = host.play("--tags", "llm_models,llm_service")
    assert recap(again)["changed"] == 0, again

    for name in ("second", "zwei"):
        assert host.run("llm", "-m", name, QUESTION).stdout == ANSWER
    assert states(host) == {"selftest": "loaded", "second": "loaded", "vectors": "unloaded"}
    wrong = host.run("llm", "-m", "secnd", QUESTION)
    assert wrong.returncode == 2 and "second" in wrong.stderr

    key = (host.install / "service" / "api-key").read_text().strip()
    request = urllib.request.Request(
        f"http://127.0.0.1:{host.port}/v1/embeddings",
        json.dumps({"model": "vectors", "input": "Hello"}).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        assert len(json.load(reply)["data"][0]["embedding"]) > 1
    assert sorted(states(host).values()) == ["loaded", "loaded", "unloaded"]  # one had to go

    children = model_processes(host)
    assert len(children) == 2
    for child in children:
        (port,) = (port for port in range(1024, 65536) if child.has_arguments("--port", str(port)))
        assert not child.mentions(key)
        with pytest.raises(urllib.error.HTTPError, match="401"):  # from past the router
            urllib.request.urlopen(f"http://127.0.0.1:{port}/props", timeout=60)

    look = json.loads(host.run("llm-manager", "watchdog", "--once", "--json").stdout)
    assert look["state"] == "answering", look
    assert host.run("llm-manager", "status").returncode == 0
    assert "known answers are correct" in host.run("llm-manager", "test").stdout

    (router,) = processes.find(
        lambda process: process.mentions(str(host.directory)) and process.has_arguments("--models-max", "2")
    )
    os.kill(router.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(processes.alive(child.pid) for child in children), 20)
    assert wait_until(lambda: host.run("llm", "-m", "second", QUESTION).stdout == ANSWER, 30)

    assert host.run("llm-manager", "stop").returncode == 0
    assert wait_until(lambda: not model_processes(host), 20)

    # A change to one model restarts, and an embedding can be the default.
    before = host.starts()
    host.config["llm_settings"]["default_model"] = "vectors"
    host.config["models"]["second"]["context_size"] = 64
    output = host.play("--tags", "llm_service,llm_tools,llm_verify")
    assert recap(output)["changed"] > 0 and "vectors answers" in output
    assert "a vector of" in host.run("llm-manager", "test").stdout
    assert host.starts() > before
    assert "ctx-size = 64" in (host.install / "service" / "models.ini").read_text()
