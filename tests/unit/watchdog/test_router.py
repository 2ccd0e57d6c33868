# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One look at a router: a model that is loaded, unloaded or not loaded yet is no reason for anything."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import (
    ANSWERED,
    FAILING,
    LOADING,
    RESTING,
    SILENT,
    SLEEPING,
    WORKING,
    Memory,
    Settings,
    decide,
    token_is_due,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.probe import look_at
from support.fake_router import FakeRouter

pytestmark = pytest.mark.processes

BRIEFLY, PATIENTLY = 0.3, 30.0


def seen(router, timeout=PATIENTLY, **how):
    return look_at(LlamaServer(router.url, None, timeout), "1 a", model="main", purposes=router.purposes, **how)


@pytest.mark.parametrize(
    ("models", "found"),
    [
        ({"main": "unloaded", "other": "unloaded"}, RESTING),
        ({"main": "loading", "other": "unloaded"}, LOADING),
        ({"main": "sleeping", "other": "unloaded"}, SLEEPING),
        ({"main": "loaded", "other": "loading"}, ANSWERED),
        ({"main": "sleeping", "other": "loaded"}, ANSWERED),
        ({"main": "loaded", "other": ("loaded", "busy")}, WORKING),
        ({"main": ("loaded", "failing"), "other": ("loaded", "busy")}, FAILING),
        ({"main": ("loaded", "leaving"), "other": "loading"}, RESTING),
    ],
)
def test_the_gravest_counts(models, found):
    with FakeRouter(models) as router:
        look = seen(router)
    assert (look.seen, look.loaded) == (found, True)


@pytest.mark.parametrize("models", [{"main": ("loaded", "silent"), "other": "loaded"}, {"b": ("loaded", "silent")}])
def test_a_loaded_model_that_is_silent_is_a_silent_server(models):
    with FakeRouter({"main": "unloaded", **models}) as router:
        assert seen(router, BRIEFLY).seen == SILENT


def test_no_model_is_loaded_by_a_look_and_one_is_used():
    with FakeRouter({"away": "unloaded", "other": "loaded", "main": "loaded", "coming": "loading"}) as router:
        assert seen(router).seen == ANSWERED
    assert router.asked == [("/slots", "main"), ("/completion", "main"), ("/slots", "other")]


@pytest.mark.parametrize("others", [{}, {"other": "sleeping"}, {"other": "loading"}, {"other": "unloaded"}])
def test_nothing_is_asked_of_models_that_shall_be_unloaded_when_idle(others):
    with FakeRouter({"main": "loaded", **others}) as router:
        assert seen(router, ask=False).seen == RESTING
    assert router.asked == []


def test_a_model_that_sleeps_hides_none_that_is_wedged():
    settings = Settings(interval=1, looks=2, idle_unload_seconds=3)
    memory, restarts = Memory(process="1 a", ready=True, answered=True), []
    with FakeRouter({"main": "sleeping", "other": ("loaded", "failing")}) as router:
        for moment in range(settings.looks_between_tokens + settings.looks):
            look = seen(router, ask=token_is_due(memory, "1 a", settings))
            memory, restart = decide(memory, look, float(moment), settings)
            restarts.append(restart)
    assert any(restarts)


@pytest.mark.parametrize(("purpose", "path"), [("embedding", "/v1/embeddings"), ("rerank", "/v1/rerank")])
def test_a_model_is_asked_for_what_it_can(purpose, path):
    with FakeRouter({"main": "loaded"}, {"main": purpose}) as router:
        assert seen(router).seen == ANSWERED
    assert router.asked[-1] == (path, "main")


def test_a_router_without_work_is_never_restarted():
    memory, restart = Memory(), False
    for models in [{"main": "loading"}] * 20 + [{"main": "unloaded"}] * 20 + [{"main": "sleeping"}] * 20:
        with FakeRouter(models) as router:
            memory, restart = decide(memory, seen(router), 1000.0, Settings())
        assert not restart and memory.doubt == 0
