# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A server that cannot start is given up on, and the reason is told; whoever starts it anew has all attempts again."""

import json
import os
import signal
import socket
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.crash_loop import why_held
from support.fake_server_process import FAKE
from support.runner_host import PATIENCE, RunnerHost

pytestmark = pytest.mark.processes

CALM = {"held": False, "why": None, "exits": [], "child": None}


@pytest.fixture
def host(tmp_path):
    host = RunnerHost(tmp_path)
    yield host
    host.close()


def holding(host):
    return [line for line in host.runner_lines() if line.startswith("holding still")]


def test_after_the_limit_it_ends_with_success_and_says_why(host):
    assert [host.run("exit 3") for _ in range(3)] == [3, 3, 0]
    state = host.state()
    assert state["held"] and state["child"] is None
    assert [entry["status"] for entry in state["exits"]] == [3, 3, 3]
    assert "3 times" in state["why"] and "exit status 3" in state["why"] and str(host.log) in state["why"]
    assert why_held(str(host.state_file)) == state["why"]
    (line,) = holding(host)
    assert state["why"] in line and "llm-manager start" in line


def test_whoever_starts_it_anew_has_all_attempts_again(host):
    for _ in range(2):
        assert [host.run("exit 3") for _ in range(3)] == [3, 3, 0]
    assert len(holding(host)) == 2
    host.start_talking()
    assert not host.state()["held"] and why_held(str(host.state_file)) is None


def test_a_signal_counts_like_any_other_exit(host):
    statuses = [host.run(f"die {signal.SIGSEGV}"), host.run("exit 1"), host.run(f"die {signal.SIGKILL}")]
    assert statuses == [128 + signal.SIGSEGV, 1, 0]
    assert "by signal 9" in host.state()["why"]


def test_a_program_that_is_not_there(host):
    host.config["argv"] = [str(host.directory / "llama-server")]
    assert [host.start().wait(PATIENCE) for _ in range(3)] == [127, 127, 0]
    assert f"{host.config['argv'][0]} cannot be started: No such file or directory" in host.runner_lines()


def test_a_deliberate_stop_begins_the_count_anew(host):
    assert [host.run("exit 3") for _ in range(2)] == [3, 3]
    runner = host.start_talking()
    runner.terminate()
    assert runner.wait(PATIENCE) == 0
    assert host.state() == CALM
    assert host.run("exit 3") == 3


def test_exit_status_0_is_no_failure(host):
    assert [host.run("exit 3") for _ in range(2)] == [3, 3]
    assert host.run("exit 0") == 0
    assert host.state() == CALM


def test_a_server_that_has_lasted_begins_the_count_anew(host):
    assert [host.run("exit 3") for _ in range(2)] == [3, 3]
    host.config["fast_exit"]["seconds"] = 0.2
    runner = host.start_talking()
    assert wait_until(lambda: host.state()["exits"] == [], PATIENCE)
    assert host.server_pid() and not host.state()["held"]
    host.tell("exit 3")
    assert runner.wait(PATIENCE) == 3 and host.state() == CALM


def test_the_count_survives_a_runner_that_is_killed(host):
    assert [host.run("exit 3") for _ in range(2)] == [3, 3]
    runner = host.start_talking()
    runner.kill()
    runner.wait()
    assert host.run("exit 3") == 0 and host.state()["held"]


def test_a_stop_ends_the_time_for_settling(host):
    host.config["fast_exit"].update(limit=1, settle_seconds=10 * PATIENCE)
    runner = host.start_talking()
    host.tell("exit 3")
    assert wait_until(lambda: host.state()["held"], PATIENCE)
    assert runner.poll() is None
    runner.terminate()
    assert runner.wait(PATIENCE) == 0 and host.state()["held"]


@pytest.mark.parametrize("content", ["", "[]", '{"exits": null, "child": null}', "{}"])
def test_a_state_that_says_nothing(host, content):
    host.state_file.write_text(content)
    assert [host.run("exit 3") for _ in range(3)] == [3, 3, 0]


def test_a_state_that_cannot_be_written_stops_nothing(host):
    host.state_file.mkdir()  # a directory is not replaced by a file
    assert host.run("exit 3") == 3
    assert any("cannot be written" in line for line in host.runner_lines())


def test_the_reason_is_the_one_in_the_log(host):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        model = host.directory / "model.gguf"
        model.write_bytes(b"GGUF")
        host.config["argv"] = [sys.executable, str(FAKE), "--model", str(model), "--port", port]
        host.config["fast_exit"]["limit"] = 1
        assert host.start().wait(PATIENCE) == 0
    assert f"port {port} on 127.0.0.1 cannot be used" in host.state()["why"]
    assert "lsof" in host.state()["why"]


def test_the_state_is_one_that_programs_can_read(host):
    host.start_talking()
    with open(host.state_file, encoding="utf-8") as stream:
        state = json.load(stream)
    assert state["child"]["argv"] == host.config["argv"] and os.stat(host.state_file).st_mode & 0o777 == 0o644
