# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service runner as a process, with real servers: how both end, by themselves, by signals and by a kill."""

import contextlib
import json
import os
import signal
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.runner_host import PATIENCE, RunnerHost, said

pytestmark = pytest.mark.processes

LINES = 40_000


@pytest.fixture
def hosts(tmp_path):
    with contextlib.ExitStack() as made:
        yield lambda on_term="exit": made.enter_context(contextlib.closing(RunnerHost(tmp_path, on_term)))


@pytest.fixture
def host(hosts):
    return hosts()


# -- the end of the server --------------------------------------------------------------------------------------------


def test_its_exit_status_is_passed_on(host):
    assert host.run("exit 7") == 7
    assert host.run("exit 0") == 0


def test_killed_it_is_started_again(host):
    runner = host.start_talking()
    host.tell_and_wait(f"say {LINES}")
    os.kill(host.server_pid(), signal.SIGKILL)
    assert runner.wait(PATIENCE) == 128 + signal.SIGKILL
    assert host.server_lines() == ["ready", *said(LINES)]
    assert host.state()["exits"][0]["status"] == -signal.SIGKILL


def test_a_stop_under_load_is_clean_and_loses_nothing(host):
    host.config["rotation"] = {"max_bytes": 100_000, "keep": 1000}
    runner = host.start_talking()
    host.tell("say 100000000")
    assert wait_until(lambda: len(host.files()) > 3, PATIENCE)
    runner.terminate()
    assert runner.wait(PATIENCE) == 0
    lines = host.server_lines()
    assert lines.count("SIGTERM") == 1 and lines[-1] == "last words"
    lines.remove("SIGTERM")
    assert lines[1:-1] == said(len(lines) - 2)
    assert host.state() == {"held": False, "why": None, "exits": [], "child": None}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_that_mean_stop(host, number):
    runner = host.start_talking()
    runner.send_signal(number)
    assert runner.wait(PATIENCE) == 0
    assert host.server_lines() == ["ready", "SIGTERM", "last words"]


def test_an_impatient_stop_is_passed_on_at_once(hosts):
    host = hosts("insist")
    runner = host.start_talking()
    runner.terminate()
    host.wait_for("SIGTERM")
    runner.terminate()
    assert runner.wait(PATIENCE) == 0
    assert host.server_lines() == ["ready", "SIGTERM", "SIGTERM"]


def test_a_server_that_wants_to_be_asked_twice_is(hosts):
    host = hosts("insist")
    host.config["stop_seconds"] = 0.2
    runner = host.start_talking()
    runner.terminate()
    assert runner.wait(PATIENCE) == 0
    assert host.server_lines() == ["ready", "SIGTERM", "SIGTERM"]


def test_a_server_that_does_not_end_is_killed(hosts):
    host = hosts("ignore")
    host.config["stop_seconds"] = 0.2
    runner = host.start_talking()
    server = host.server_pid()
    runner.terminate()
    assert runner.wait(PATIENCE) == 0
    assert host.server_lines() == ["ready", "SIGTERM", "SIGTERM"] and not processes.alive(server)


def test_a_stopped_server_ends_too(host):
    host.config["stop_seconds"] = 0.2
    runner = host.start_talking()
    os.kill(host.server_pid(), signal.SIGSTOP)
    runner.terminate()
    assert runner.wait(PATIENCE) == 0


def test_sighup_ends_nobody(host):
    runner = host.start_talking()
    runner.send_signal(signal.SIGHUP)
    host.tell("print still here")
    host.wait_for("still here")
    assert runner.poll() is None


def test_the_end_leaves_no_process(host):
    runner = host.start_talking()
    group = [process.pid for process in processes.find(lambda p: p.group == runner.pid)]
    assert len(group) == 3
    host.tell("exit 1")
    runner.wait(PATIENCE)
    assert not processes.find(lambda p: p.group == runner.pid)


# -- the end of the runner --------------------------------------------------------------------------------------------


def test_the_server_dies_with_a_runner_that_is_killed(hosts):
    host = hosts("ignore")
    runner = host.start_talking()
    runner.kill()
    assert wait_until(lambda: not processes.find(lambda p: p.group == runner.pid), PATIENCE)


def test_killed_in_the_middle_of_rotations_nothing_is_doubled_and_the_next_run_goes_on(host):
    host.config["rotation"] = {"max_bytes": 20_000, "keep": 1000}
    for run in range(5):
        before = len(host.files())
        runner = host.start_talking()
        host.tell(f"say 100000000 run{run}")
        assert wait_until(lambda before=before: len(host.files()) > before + 5, PATIENCE, poll=0.001)
        host.kills += 1
        runner.kill()
        assert wait_until(lambda runner=runner: not processes.find(lambda p: p.group == runner.pid), PATIENCE)
        runner.wait()
    assert host.run("exit 0") == 0
    lines = host.server_lines()
    for run in range(5):
        own = [line for line in lines if line.startswith(f"run{run} ")]
        assert len(own) > 1000
        intact = own if own[-1].endswith(".") else own[:-1]  # the last one may have been cut off
        assert intact == said(len(intact), f"run{run}")


def test_a_server_that_outlived_its_runner_and_guard_is_ended_by_the_next(hosts):
    host = hosts("ignore")
    host.config["stop_seconds"] = 0.2
    runner = host.start_talking()
    left = host.server_pid()
    os.kill(host.guard_of(runner), signal.SIGKILL)
    runner.kill()
    runner.wait()
    assert processes.alive(left)
    host.start_talking()
    assert not processes.alive(left) and host.server_pid() != left
    assert any(str(left) in line and "ended first" in line for line in host.runner_lines())


def test_a_stranger_with_the_number_of_an_earlier_server_is_left_alone(host):
    stranger = subprocess.Popen(["/bin/sleep", "600"])
    try:
        child = {"pid": stranger.pid, "argv": host.config["argv"]}
        host.state_file.write_text(json.dumps({"held": False, "exits": [], "child": child}))
        host.start_talking()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_runner_is_refused(host):
    host.config["stop_seconds"] = 0.2
    first = host.start_talking()
    server = host.server_pid()
    second = host.start()
    assert second.wait(PATIENCE) == 2
    assert b"another runner" in second.stderr.read()
    assert first.poll() is None and processes.alive(server) and host.server_pid() == server
