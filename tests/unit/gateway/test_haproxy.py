# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the sockets of HAProxy are told, and what follows from their answers."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway import haproxy


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """A gateway that does not run, and that nobody waits for."""
    monkeypatch.setattr(haproxy, "START_SECONDS", 0)
    monkeypatch.setattr(haproxy, "RELOAD_SECONDS", 0)
    return haproxy.HAProxy(str(tmp_path / "admin"), str(tmp_path / "master"))


def test_a_gateway_that_does_not_run_has_no_configuration(nobody):
    assert nobody.fingerprint() is None


def test_check_mode_leaves_its_start_to_the_service_manager(nobody):
    assert nobody.converge("new", check_only=True) is False


def test_one_that_does_not_start_is_an_error_that_names_its_log(nobody):
    with pytest.raises(LlamaCppError, match="journalctl -u llama-cpp-gateway"):
        nobody.converge("new", check_only=False)


def test_a_master_that_cannot_be_told(nobody, monkeypatch):
    monkeypatch.setattr(nobody, "fingerprint", lambda: "old")
    with pytest.raises(LlamaCppError, match=r"cannot be told to reload .* No such file"):
        nobody.converge("new", check_only=False)


def test_a_master_that_replaces_itself_is_asked_again(nobody, monkeypatch):
    refusals = [ConnectionRefusedError(), ConnectionResetError()]

    def command(path, words):
        if refusals:
            raise refusals.pop()
        return "7 worker\n" if words == "show proc" else "# pxname,svname,qcur,scur\nmodel_tiny,mini-1,1,2\n"

    monkeypatch.setattr(haproxy, "command", command)
    assert nobody.running("mini-1") == 3


def test_one_that_another_unit_has_started_is_to_be_restarted(nobody, monkeypatch):
    assert not nobody.restart_is_due("new")  # nothing runs
    answers = {f"{haproxy.UNIT}=new\n": False, f"{haproxy.UNIT}=old\n": True, "Variable not found\n": True}
    for answer, due in answers.items():
        monkeypatch.setattr(haproxy, "command", lambda path, words, answer=answer: answer)
        assert nobody.restart_is_due("new") is due


def test_a_configuration_that_is_not_taken_up(nobody, monkeypatch):
    asked = []
    monkeypatch.setattr(haproxy, "command", lambda path, words: asked.append(words) or f"{haproxy.FINGERPRINT}=old\n")
    with pytest.raises(LlamaCppError, match="did not take its new configuration"):
        nobody.converge("new", check_only=False)
    assert asked.count("reload") == 1
    assert nobody.converge("old", check_only=False) is False
