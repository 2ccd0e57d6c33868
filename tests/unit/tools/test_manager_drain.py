# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What gateways are told while ``llm-manager watchdog`` runs, and ``llm-manager drain``."""

import os
import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.supervised_server import free_port

pytestmark = pytest.mark.processes

DEADLINE = 60


@pytest.fixture
def agent(commands, tmp_path):
    """The part ``agent`` of the watchdog's configuration."""
    commands.config["service"] = {
        "manager": "supervisor",
        "program": "llama-server",
        "definition": str(tmp_path / "supervisord.conf"),
        "supervisord": "/nowhere/supervisord",
    }
    commands.config["watchdog"] = {
        "interval": 0.05,
        "answer_seconds": 10,
        "log": str(tmp_path / "watchdog.log"),
        "state_file": str(tmp_path / "watchdog.json"),
        "agent": {
            "address": "127.0.0.1",
            "port": free_port(),
            "gateways": ["127.0.0.1"],
            "drain_file": str(tmp_path / "draining"),
        },
    }
    return commands.config["watchdog"]["agent"]


@pytest.fixture
def watchdog(commands, agent):
    """Starts the watchdog."""
    started = []
    yield lambda: started.append(commands.start("llm-manager", "watchdog"))
    for process in started:
        process.kill()
        process.communicate()


def told(agent, wanted):
    """Whether a gateway is told what starts with ``wanted`` before long."""

    def is_told():
        try:
            with socket.create_connection((agent["address"], agent["port"]), timeout=10) as connection:
                return connection.makefile().read().startswith(wanted)
        except ConnectionError:
            return False

    return wait_until(is_told, DEADLINE, 0.05)


def test_a_host_that_answers_is_up_unless_it_is_drained(commands, agent, watchdog, serve):
    with serve():
        assert commands.run("llm-manager", "drain").returncode == 0
        watchdog()
        assert told(agent, "down #drained")
        for _ in range(2):
            assert commands.run("llm-manager", "drain", "--end").returncode == 0
        watchdog()  # each of these commands wrote its configuration anew, for which it ends
        assert told(agent, "up")


def test_a_host_that_is_healthy_and_computes_nothing_is_down(commands, agent, watchdog, serve):
    commands.config["watchdog"]["answer_seconds"] = 0.5
    with serve("wedged"):
        watchdog()
        assert told(agent, "down #doubtful")


def test_a_port_that_cannot_be_had_is_said_and_the_server_looked_at_nevertheless(commands, agent, watchdog, serve):
    state_file = commands.config["watchdog"]["state_file"]
    with serve(), socket.create_server((agent["address"], agent["port"])):
        watchdog()
        assert wait_until(lambda: os.path.exists(state_file), DEADLINE, 0.05)


def test_without_an_agent_there_is_nothing_to_drain(commands, agent):
    del commands.config["watchdog"]["agent"]
    done = commands.run("llm-manager", "drain")
    assert done.returncode == 2 and "service.watchdog.agent" in done.stderr
