# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""When a host may go out of rotation, what is waited for, and what is said when that does not come. (Real HAProxy:
contract/test_gateway.py.)
"""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway import rotation


class Gateway:
    """Hosts in their states; a host in maintenance has ``running`` answers left, one less at each look."""

    def __init__(self, **states):
        self.states = {host: {f"model_{model}": state for model, state in of.items()} for host, of in states.items()}
        self.left, self.told = [0], []

    def hosts(self):
        return {host: dict(states) for host, states in self.states.items()}

    def running(self, _host):
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def set_state(self, host, state):
        self.told.append((host, state))
        words = {"maint": "MAINT", "ready": "UP"}[state]
        self.states[host] = dict.fromkeys(self.states[host], words)


def of(gateway, host="one"):
    return rotation.Rotation(gateway, host)


def three(**states):
    return Gateway(**{host: {"tiny": states.get(host, "UP")} for host in ("one", "two", "three")})


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(rotation, "POLL_SECONDS", 0)


def test_a_host_may_go_while_all_others_are_up():
    assert of(three(two="UP 1/2", three="no check")).last_of() == []


@pytest.mark.parametrize(
    ("states", "keep_up", "words"),
    [
        ({"two": "DOWN"}, None, r"1 are up, and 2 have to be\. Not up: two \(DOWN\)"),
        ({"two": "MAINT", "three": "DOWN (agent)"}, 1, r"0 are up, and 1 have to be"),
        ({}, 3, "2 are up, and 3 have to be"),
    ],
)
def test_a_host_stays_while_too_few_others_are_up(states, keep_up, words):
    gateway = three(**states)
    with pytest.raises(LlamaCppError, match=words):
        of(gateway).last_of(keep_up)
    assert not gateway.told


def test_fewer_others_will_do_where_it_is_said():
    assert of(three(two="DOWN")).last_of(1) == []
    assert of(three(two="DOWN", three="DOWN")).last_of(0) == ["tiny"]


def test_hosts_that_will_be_back_by_then_count_as_up():
    gateway = three(two="MAINT")
    assert rotation.kept_away(gateway.hosts()) == ["two"]
    assert of(gateway).last_of(returning=["two"]) == []


def test_the_only_host_with_a_model_goes_only_when_the_outage_is_accepted():
    gateway = Gateway(one={"tiny": "UP", "big_one": "UP"}, two={"tiny": "UP"})
    with pytest.raises(LlamaCppError, match=r"only host with big_one.*llama_cpp_gateway_keep_up=0"):
        of(gateway).last_of()
    assert of(gateway).last_of(0) == ["big_one"]


def test_a_host_that_is_not_up_is_no_loss():
    for state in ("DOWN", "MAINT"):
        assert of(three(one=state, two="DOWN")).last_of() == []


def test_its_answers_are_waited_for_and_told():
    gateway, seen = three(), []
    gateway.left = [2, 1, 0]
    one = rotation.Rotation(gateway, "one", lambda stage, detail: seen.append(detail))
    assert not one.is_away and one.take_away(60) == 0 and one.is_away
    assert seen == ["2 running", "1 running", "0 running"]
    assert one.take_away(60) == 0 and gateway.told == [("one", "maint")]


def test_answers_that_do_not_end_stop_the_change_or_are_left():
    gateway = three()
    gateway.left = [3]
    with pytest.raises(LlamaCppError, match="one still has 3 running answers after 0 s"):
        of(gateway).take_away(0)
    assert of(gateway).is_away and of(gateway).take_away(0, go_on=True) == 3


def test_it_is_put_back_once_its_checks_succeed():
    gateway = three(one="MAINT")
    assert of(gateway).is_kept_away
    of(gateway).put_back(60, 0)
    of(gateway).put_back(60, 0)
    assert gateway.told == [("one", "ready")] and not of(gateway).is_kept_away


def test_up_until_the_first_check_is_not_up(monkeypatch):
    gateway, states = three(), iter(["MAINT", "MAINT", "UP", "DOWN (agent)", "UP", "UP", "UP", "end"])
    monkeypatch.setattr(gateway, "set_state", lambda host, state: None)
    one = of(gateway)
    monkeypatch.setattr(gateway, "hosts", lambda: {"one": {"model_tiny": next(states)}})
    one.put_back(60, 0.01)
    assert next(states) == "end"


def test_a_host_that_does_not_come_up_is_an_error_that_tells_its_state(monkeypatch):
    gateway = three(one="DOWN (agent)")
    monkeypatch.setattr(gateway, "set_state", lambda host, state: None)
    with pytest.raises(LlamaCppError, match=r"does not count one as up within 0 s \(tiny: DOWN \(agent\)\)"):
        of(gateway).put_back(0, 0)


def test_a_host_that_the_gateway_does_not_have():
    with pytest.raises(LlamaCppError, match=r"no host four.*playbooks/gateway\.yml"):
        of(three(), "four")
