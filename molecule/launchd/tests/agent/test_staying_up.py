# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The server comes back from what it should come back from, and from nothing else."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.provisioned_mac import PATIENCE, SERVER, WATCHDOG

LIMIT = 5  # fast exits in a row
NOT_RUNNING = 3  # exit code of the commands


def server(mac):
    return mac.servers()[0]


def runner(mac):
    return mac.pid(SERVER)


@pytest.mark.parametrize("victim", [server, runner])
def test_killed_it_comes_back(serving, victim):
    before = {serving.pid(), *serving.servers()}
    os.kill(victim(serving), signal.SIGKILL)
    assert wait_until(lambda: serving.pid() not in (None, *before), PATIENCE)
    assert serving.is_well()
    assert not any(map(processes.alive, before))


def test_the_watchdog_comes_back_too(serving):
    pid, started = serving.pid(WATCHDOG), serving.pid()
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: serving.pid(WATCHDOG) not in (None, pid), PATIENCE)
    assert serving.pid() == started


def test_silent_it_is_healed_by_the_watchdog(serving):
    pid, log = serving.pid(), serving.install / "logs" / "watchdog.log"
    before = log.read_text().count(" restarted: ")
    assert serving.watchdog_looks("answered", 2), "else it takes the silence for that of a server that loads its model"
    os.kill(server(serving), signal.SIGSTOP)
    assert wait_until(lambda: serving.pid() not in (None, pid), PATIENCE)
    assert serving.is_well()
    assert log.read_text().count(" restarted: ") == before + 1
    assert f"process {pid} was killed" in log.read_text()


def test_a_long_generation_is_not_interrupted(serving):
    """It takes the only slot for more looks than a silent server has, and goes on delivering."""
    pid = serving.pid()
    with serving.complete(n_predict=-1, ignore_eos=True, stream=True) as response:
        lines = (line for line in response.iter_lines() if line)
        first = json.loads(next(lines).removeprefix(b"data: "))
        with ThreadPoolExecutor() as pool:
            looks = pool.submit(serving.watchdog_looks, "working", 5)
            while not looks.done():
                last = json.loads(next(lines).removeprefix(b"data: "))
        assert looks.result()
    assert (first["stop"], last["stop"]) == (False, False)
    assert serving.pid() == pid
    assert serving.is_well()


def test_stopped_it_stays_stopped_until_it_is_started(serving):
    assert serving.command("llm-manager", "stop").returncode == 0
    assert serving.servers() == []
    assert serving.watchdog_looks("down", 3)
    assert (serving.job(), serving.servers()) == (None, [])
    assert serving.command("llm-manager", "status").returncode == NOT_RUNNING
    assert serving.command("llm-manager", "start").returncode == 0
    assert serving.is_well()


def test_restarted_it_is_another_process(serving):
    pid = serving.pid()
    assert serving.command("llm-manager", "restart").returncode == 0
    assert serving.is_well()
    assert serving.pid() != pid


def test_a_server_that_cannot_start_is_held_and_its_status_says_why(serving):
    model = serving.install / "models" / "selftest.gguf"
    away = model.rename(model.with_suffix(".away"))
    os.kill(server(serving), signal.SIGKILL)
    while not serving.run_state()["held"]:  # somebody does not wait for ThrottleInterval
        serving.simulator.run("kickstart", serving.target())
        assert wait_until(lambda: not serving.pid() or serving.run_state()["held"], PATIENCE, poll=0.02)
    assert wait_until(lambda: serving.job().state == "not running", PATIENCE)
    assert len(serving.run_state()["exits"]) == LIMIT
    result = serving.command("llm-manager", "status", "--json")
    service = json.loads(result.stdout)["service"]
    assert (result.returncode, service["held"], service["last_exit"]) == (NOT_RUNNING, True, 0)
    assert f"ended {LIMIT} times in a row" in service["why"]
    assert str(model) in service["why"]
    assert service["why"] in serving.command("llm-manager", "status").stdout
    away.rename(model)
    assert serving.command("llm-manager", "start").returncode == 0
    assert serving.is_well()
