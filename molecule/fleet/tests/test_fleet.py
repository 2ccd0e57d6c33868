# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Hosts change, fail and come back behind the gateway while clients ask. The tests are a story: each begins where the
one before it has ended.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
import requests
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.built_engine import require_server
from support.fleet import changes
from support.plays import processes_below
from support.provisioned_fleet import Clients, endless
from support.stuck_thread import stuck_thread

WAIT_SECONDS = 60

#: In inventory/hosts.yml the watchdog looks after a second and waits three for a token, and HAProxy asks each second.
CHECKS, CHECK_SECONDS = 2, 5
ADDRESSES = {"mini-1": "127.0.0.2:18770"}
ALL_UP = {"mini-1": "UP", "mini-2": "UP", "mini-3": "UP"}

#: It passes the self-test, which starts it without an alias, and dies as a service.
BAD = """#!/bin/sh
for word; do
  [ "$word" != --alias ] || { echo "I do not like this configuration." >&2; exit 3; }
done
exec "%s" "$@"
"""


@pytest.fixture(scope="module")
def engine(fleet):
    """``engine(kind)`` is the directory of another engine, which works unless ``kind`` is ``bad``."""
    server = require_server()

    def engine(kind):
        directory = fleet.directory / f"{kind} engine"
        shutil.copytree(server.parent, directory)
        if kind == "bad":
            (directory / "llama-server").write_text(BAD % server)
        return str(directory)

    return engine


def test_the_roll_stops_at_the_first_host_that_fails(fleet, engine):
    before = fleet.releases()
    with Clients() as clients:
        output = fleet.play("fleet.yml", {"scenario_engines": dict.fromkeys(fleet.names, engine("bad"))}, expect=2)
    assert clients.answered and not clients.failed
    assert "I do not like this configuration" in output and "no host after it was changed" in output
    assert fleet.releases() == before and fleet.states() == {**ALL_UP, "mini-1": "MAINT"}


def test_the_next_one_goes_on_from_there_and_no_request_fails(fleet, engine):
    before, begun, changed = fleet.releases(), time.time(), ("mini-1", "mini-2")
    variables = {"scenario_engines": dict.fromkeys(changed, engine("good"))}
    conversation = fleet.conversation_at("mini-2")
    with Clients() as clients:
        play = fleet.begin("fleet.yml", variables)
        # The first host is back, and the second one is about to be drained; a task is shown at its end.
        for task in ("Put the host back", "macos_setup.llm.llama_cpp : Plan | Resolve the configuration"):
            assert play.until(lambda line, task=task: line.startswith(f"TASK [{task}")), play.output
        with endless(conversation):
            assert play.until(lambda line: "waiting for its answers, 1 running" in line), play.output
            assert fleet.states()["mini-2"] == "MAINT" and fleet.releases()["mini-2"] == before["mini-2"]
        output = fleet.end(play)
    assert clients.answered and not clients.failed
    after = fleet.releases()
    assert [name for name in fleet.names if after[name] != before[name]] == list(changed)
    # A host that has nothing to change stays in rotation.
    assert changes(output)[-1] == 0
    assert fleet.states() == ALL_UP and fleet.answered(begun) == set(ALL_UP)


def test_a_host_that_is_killed_fails_what_it_computes_and_nothing_else(fleet):
    home = fleet.names[2]
    with endless(fleet.conversation_at(home)) as pieces, Clients() as clients:
        os.kill(fleet.server(home), signal.SIGKILL)
        killed = time.time()
        with pytest.raises(requests.RequestException):
            list(pieces)
        assert wait_until(lambda: home in fleet.answered(killed), WAIT_SECONDS)
    assert clients.answered and not [said for begun, said in clients.failed if begun > killed]
    assert wait_until(lambda: fleet.states() == ALL_UP, WAIT_SECONDS)


def test_a_host_that_computes_nothing_gets_nothing_new_until_its_watchdog_has_restarted_it(fleet):
    wedged = "mini-1"
    with contextlib.ExitStack() as stack:
        clients = stack.enter_context(Clients())
        try:
            stack.enter_context(stuck_thread(fleet.server(wedged)))
        except PermissionError as error:
            pytest.skip(str(error))
        assert wait_until(lambda: not fleet.states()[wedged].startswith("UP"), CHECKS * CHECK_SECONDS, 0.05)
        down = time.time()
        assert fleet.states()[wedged] == "DOWN (agent)"
        assert requests.get(f"http://{ADDRESSES[wedged]}/health", timeout=CHECK_SECONDS).json() == {"status": "ok"}
        assert wait_until(lambda: fleet.states() == ALL_UP, WAIT_SECONDS)
    assert clients.answered and not [said for begun, said in clients.failed if begun > down]


def test_the_gateway_is_reloaded_and_leaves_nothing(fleet):
    def play(*arguments, **variables):
        return changes(fleet.play("gateway.yml", variables, "--limit", "llm_gateways", *arguments))

    directory = fleet.directory / "gateway" / "gateway"
    usage = [directory / "bin" / "llm-manager", "usage", "--json"]
    (anna,) = json.loads(subprocess.run(usage, capture_output=True, check=True).stdout)["groups"]
    assert anna["client"] == "anna" and anna["requests"] > 0
    # A file, and the process that serves.
    assert play(llama_cpp_gateway_queue=7) == [2]
    assert play(llama_cpp_gateway_state="absent") == [1]
    assert not directory.exists() and not processes_below(directory)
    assert play("--check") > [0]
    assert not directory.exists()
