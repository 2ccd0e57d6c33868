# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A server waits for its RPC workers instead of crashing without them, and a worker for its address."""

import json
import os
import signal
import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.runner import prerequisites
from support.fake_rpc_worker import hello, memory, rpc_worker
from support.runner_host import PATIENCE, RunnerHost
from support.supervised_server import free_port


@pytest.fixture
def host(tmp_path):
    host = RunnerHost(tmp_path)
    yield host
    host.close()


def told(host, word):
    return [line for line in host.runner_lines() if line.startswith(word)]


@pytest.mark.processes
def test_it_starts_when_the_missing_worker_is_there_and_a_lost_one_is_no_failure_of_the_server(host):
    port = free_port()
    with rpc_worker(memory(1000)) as first:
        missing = f"127.0.0.1:{port}"
        host.config.update(workers={first: "1000", missing: "1000"})
        host.config["fast_exit"]["limit"] = 1
        runner = host.start()
        assert wait_until(lambda: told(host, "waiting"), PATIENCE, poll=0.02)
        assert missing in told(host, "waiting")[0] and "refused" in told(host, "waiting")[0]
        assert told(host, "waiting")[0] == host.state()["why"] and host.state()["child"] is None
        with rpc_worker(memory(1000), port=port):
            host.wait_for("ready")
            assert host.state()["why"] is None
        host.tell(f"die {signal.SIGABRT}")  # as llama-server does when the worker is gone
        assert runner.wait(PATIENCE) == 128 + signal.SIGABRT
    state = host.state()
    assert not state["held"] and state["exits"] == [] and "lost the RPC worker" in state["why"]


@pytest.mark.processes
def test_it_ends_when_asked_while_it_waits(host):
    host.config.update(workers={f"127.0.0.1:{free_port()}": ""})
    runner = host.start()
    assert wait_until(lambda: told(host, "waiting"), PATIENCE, poll=0.02)
    runner.terminate()
    assert runner.wait(PATIENCE) == 0
    assert host.server_lines() == [] and host.state()["why"] is None


@pytest.mark.processes
def test_a_program_with_an_address_waits_for_it_and_its_success_is_a_failure(host):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        host.config.update(listens_on=f"127.0.0.1:{port}")
        runner = host.start()
        assert wait_until(lambda: told(host, "waiting"), PATIENCE, poll=0.02)
        assert "another program listens there" in host.state()["why"]
    host.wait_for("ready")
    host.tell("exit 0")
    assert runner.wait(PATIENCE) == 128
    assert [entry["status"] for entry in host.state()["exits"]] == [0]


@pytest.mark.processes
def test_a_worker_outlives_a_head_that_goes_while_it_writes(host):
    host.config.update(argv=["/bin/sh", "-c", "kill -s PIPE $$; echo alive; exit 1"], listens_on="127.0.0.1:0")
    assert host.start().wait(PATIENCE) == 1
    assert host.server_lines() == ["alive"]


def test_an_address_that_this_machine_does_not_have():
    config = type("Config", (), {"workers": {}, "listens_on": "192.0.2.1:50052"})
    assert "does not have it" in prerequisites.missing(config)


def test_what_workers_offer_is_asked_declared_or_remembered(tmp_path):
    files = [str(tmp_path / "runner.json"), str(tmp_path / "state.json")]
    with rpc_worker(memory(10, 30)) as idle, rpc_worker([None]) as used, rpc_worker([hello(6)]) as other:
        (tmp_path / "runner.json").write_text(json.dumps({"workers": {used: "40,50"}}))
        (tmp_path / "state.json").write_text(json.dumps({"child": {"pid": os.getpid()}}))
        assert prerequisites.offers({used: None, idle: None}, *files, 0) == ({used: [40, 50], idle: [10, 30]}, {})
        assert prerequisites.offers({used: 9, idle: 20}, *files, 0) == ({used: [4, 5], idle: [5, 15]}, {})
        assert prerequisites.offers({other: 30}, *files, 0) == ({other: [30]}, {})
        (tmp_path / "state.json").write_text(json.dumps({"child": None}))
        found, missing = prerequisites.offers({used: None, other: None}, *files, 0)
        assert found == {} and "another server may be using it" in missing[used] and "memory_mb" in missing[other]


def test_all_that_is_declared_is_shared_so_that_the_next_play_finds_the_same_shares():
    with rpc_worker(memory(199, 1)) as endpoint:
        assert prerequisites.offers({endpoint: 10}, None, None, 0) == ({endpoint: [9, 1]}, {})


def test_a_declared_worker_is_missed_as_well():
    endpoint = f"127.0.0.1:{free_port()}"
    found, missing = prerequisites.offers({endpoint: 30}, None, None, 0)
    assert found == {endpoint: [30]} and list(missing) == [endpoint]
