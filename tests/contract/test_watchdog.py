# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The watchdog beside the real llama-server, both under one real supervisord, as the play sets them up."""

import contextlib
import os
import signal
import threading

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.paths import REPOSITORY
from support.plays import processes_below
from support.watched_server import DEADLINE, watching

MODEL = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"

#: A context so large that the self-test model takes a second or two to load: the memory for it is cleared first.
SLOW_TO_LOAD = ["--ctx-size", "3000000"]


@pytest.fixture
def watched(engine):
    """``watched(*arguments, **settings)`` starts a server with one slot and a watchdog, and waits until all is well."""
    with contextlib.ExitStack() as opened:

        def start(*arguments, **settings):
            own = [engine / "llama-server", "--model", MODEL, "--parallel", 1, "--threads", 1, "--offline"]
            return opened.enter_context(watching([*own, *arguments], settings))

        yield start


def test_a_stopped_server_is_healed(watched):
    both = watched(answer_seconds=1)
    pid, server = both.pid, both.server_pid
    os.kill(server, signal.SIGSTOP)
    assert wait_until(lambda: both.pid not in (None, pid), DEADLINE), both.log
    both.until("answering")
    assert both.server.complete("Hello", n_predict=4)["tokens_predicted"] > 0
    assert not processes.alive(pid) and not processes.alive(server)
    assert both.log.count(" restarted: ") == 1 and f"process {pid} was killed" in both.log


def test_a_long_generation_on_the_only_slot_is_not_interrupted(watched):
    """It takes far longer than a silence that is put up with."""
    both = watched("--context-shift", answer_seconds=1, stall_seconds=5)
    pid, answers, looks, length = both.pid, [], 0, 5000
    while looks < 25:  # as long as this machine needs for so many looks
        length *= 2
        generation = threading.Thread(
            target=lambda n=length: answers.append(both.server.complete("Hello", n_predict=n, ignore_eos=True))
        )
        generation.start()
        looks = both.looks("working", 10_000, generation.is_alive)
        generation.join()
        assert (answers[-1]["tokens_predicted"], answers[-1]["stop_type"]) == (length, "limit")
    assert both.pid == pid
    assert "restarted" not in both.log


def test_a_loading_server_is_left_alone(watched):
    both = watched(*SLOW_TO_LOAD, interval=0.05, looks=2, answer_seconds=5, load_seconds=0.1)
    both.service.stop()
    both.until("down")
    both.service.start()
    pid = both.pid
    both.until("loading")
    both.until("answering")
    assert both.pid == pid
    assert "restarted" not in both.log


def test_an_idle_server_may_unload_its_model_and_load_it_again(watched):
    both = watched("--sleep-idle-seconds", 1, *SLOW_TO_LOAD, interval=0.05, answer_seconds=0.3, idle_unload_seconds=1)
    pid = both.pid
    for _ in range(2):
        both.until("sleeping")
        assert both.looks("sleeping", 40) >= 39  # it is not woken by being looked at
        assert both.server.complete("Hello", n_predict=1)["tokens_predicted"] == 1
    assert both.pid == pid
    assert "restarted" not in both.log


def test_the_service_and_its_watchdog_do_not_disturb_each_other(watched):
    both = watched(answer_seconds=10)
    pid, others = both.pid, processes_below(both.root)
    assert not both.service.drifted()  # every run of the play looks,
    both.service.start()  # and starts what does not run
    assert (both.pid, processes_below(both.root)) == (pid, others)
    looked = both.memory()["looked"]
    assert wait_until(lambda: both.memory()["looked"] > looked, DEADLINE)
    both.service.stop()
    both.until("down")
    both.service.clear()
    assert wait_until(lambda: not processes_below(both.root), DEADLINE)
