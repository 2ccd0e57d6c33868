# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a gateway is told of this host, and that others are told nothing."""

import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog import policy
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.agent import Agent, line, patience

NOW = 1_000_000.0
SETTINGS = policy.Settings()


def told(tmp_path, state=policy.ANSWERING, age=0.0):
    return line(policy.Memory(state=state, looked=NOW - age), SETTINGS, str(tmp_path / "draining"), NOW)


@pytest.mark.parametrize("state", [policy.ANSWERING, policy.SLEEPING, policy.UNCLEAR])
def test_a_server_that_answers_is_up(tmp_path, state):
    assert told(tmp_path, state) == "up\n"


@pytest.mark.parametrize(
    "state",
    [policy.DOWN, policy.GIVEN_UP, policy.LOADING, policy.DEAF, policy.DOUBTFUL, policy.RESTARTED, policy.HELD],
)
def test_any_other_is_down_and_the_gateway_shows_why(tmp_path, state):
    assert told(tmp_path, state) == f"down #{state}\n"


def test_a_look_holds_until_the_next_one_is_over(tmp_path):
    assert told(tmp_path, age=patience(SETTINGS) - 1) == "up\n"
    assert told(tmp_path, age=patience(SETTINGS) + 1).startswith("down #the watchdog has not looked")
    assert line(policy.Memory(), SETTINGS, str(tmp_path / "draining"), NOW).startswith("down #the watchdog")


def test_a_drained_host_is_down_whatever_its_server_does(tmp_path):
    (tmp_path / "draining").touch()
    assert told(tmp_path).startswith("down #drained")


def asked_from(address, agent):
    with socket.create_connection(("127.0.0.1", agent.port), timeout=10, source_address=(address, 0)) as connection:
        return connection.makefile().read()


def test_strangers_are_told_nothing():
    agent = Agent("127.0.0.1", 0, ["127.0.0.1"], lambda: "up\n")
    try:
        agent.listen()
        agent.listen()
        assert asked_from("127.0.0.1", agent) == "up\n"
    finally:
        agent.close()


def test_an_address_is_the_same_in_every_spelling():
    agent = Agent("::", 0, ["192.0.2.7", "fe80::1", "2001:DB8::0:1"], lambda: "up\n")
    for peer in ("192.0.2.7", "::ffff:192.0.2.7", "fe80::1%en0", "2001:db8::1"):
        assert agent.answer_to(peer) == "up\n"
    for peer in ("192.0.2.70", "::ffff:192.0.2.8", "127.0.0.1"):
        assert agent.answer_to(peer) is None


def test_a_stranger_gets_an_empty_answer_over_the_wire():
    agent = Agent("127.0.0.1", 0, ["192.0.2.7"], lambda: "up\n")
    try:
        agent.listen()
        assert asked_from("127.0.0.1", agent) == ""
    finally:
        agent.close()
