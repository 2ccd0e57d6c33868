# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The real router's models sleep when idle: no look wakes them or takes them for wedged, and a question does."""

import json
import os
import shutil
import signal

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import check_server
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.readiness import model_state
from support.paths import REPOSITORY
from support.planned_server import command, plan_of
from support.watched_server import DEADLINE, watching

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
IDLE = 1


@pytest.fixture
def both(tmp_path, help_text):
    """A router of two models and its watchdog; main is loaded at the start."""
    models = {}
    for name in ("main", "other"):
        path = tmp_path / f"{name}.gguf"
        shutil.copy(SELFTEST, path)
        models[name] = {"path": str(path)}
    plan = plan_of(models, tmp_path, {"default_model": "main"}, idle_unload_seconds=IDLE)
    settings = {"answer_seconds": 1, "idle_unload_seconds": IDLE}
    client = [{"name": name, "purpose": "chat", "path": model["path"]} for name, model in models.items()]
    with watching(command(plan, tmp_path), settings, client) as both:
        yield both


def until(both, **states):
    def reached():
        return all(model_state(both.server, name) == state for name, state in states.items())

    assert wait_until(reached, DEADLINE, poll=0.05), both.server.models()


def child_of(both, model):
    (child,) = processes.find(lambda p: p.parent == both.server_pid and p.has_arguments("--alias", model))
    return child.pid


def test_an_idle_model_sleeps_is_found_well_and_answers_when_asked(both):
    pid = both.pid
    until(both, main="sleeping", other="unloaded")
    both.until("sleeping")
    child = child_of(both, "main")
    status = both.run("llm-manager", "status", "--json")
    found = json.loads(status.stdout)
    assert (status.returncode, found["server"]["state"], found["watchdog"]["state"]) == (0, "ready", "sleeping")
    assert both.run("llm-manager", "watchdog", "--once").returncode == 0
    listing = json.loads(both.run("llm", "models", "--json").stdout)
    assert {model["name"]: model["state"] for model in listing["models"]} == {"main": "sleeping", "other": "unloaded"}
    assert both.looks("sleeping", 10) == 10
    assert model_state(both.server, "main") == "sleeping"  # nothing of all that has woken it

    assert check_server(both.server.base_url, model="main", timeout=DEADLINE)["answer"]
    assert both.run("llm", "What is the capital of France?").stdout == "The capital of France is Paris.\n"
    assert (both.pid, child_of(both, "main")) == (pid, child)
    assert "restarted" not in both.log


def test_a_model_that_sleeps_hides_no_other_that_is_wedged(both):
    pid = both.pid
    until(both, main="sleeping")
    both.server.complete("Hello", model="other", n_predict=1)
    child = child_of(both, "other")
    both.server.complete("Hello", model="other", n_predict=1)  # it has a second until it may sleep
    os.kill(child, signal.SIGSTOP)
    until(both, main="sleeping", other="loaded")
    assert wait_until(lambda: both.pid not in (None, pid), DEADLINE), both.log
    both.until("answering")
    assert both.log.count(" restarted: ") == 1
