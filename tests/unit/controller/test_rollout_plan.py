# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the plan knows of a change of the service: what tells that there is one, and what it has to pass."""

import inspect

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import check_server
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import rollout
from support.commands import TOOLS
from support.planning import CATALOG, LINUX, MAC, MODEL, PINS, SCHEMA, resolve

TWO = {"models": {"tiny": MODEL, "other": {"url": "https://models.example/other.gguf"}}}
TWO["llm_settings"] = {"default_model": "tiny"}

CHANGES = {
    "an argument": {"server": {"arguments": {"threads": 2}}},
    "the key file": {"server": {"api_key": "~/key"}},
    "the rotation of the log": {"service": {"log_rotation": {"keep": 9}}},
    "another model": {"models": {"tiny": {"url": "https://models.example/other.gguf"}}},
    "a router": TWO,
}
NO_CHANGES = {
    "another release": {"engine": {"version": "b7000", "source": "git"}},
    "a default of the client": {"client": {"temperature": 0.5}},
    "the watchdog": {"service": {"watchdog": {"interval": 30}}},
}


def fingerprint(config=None):
    return resolve(config)["service"]["fingerprint"]


@pytest.mark.parametrize("change", CHANGES)
def test_what_the_server_is_told_is_in_the_fingerprint(change):
    assert fingerprint(CHANGES[change])["values"] != fingerprint()["values"]


@pytest.mark.parametrize("change", NO_CHANGES)
def test_what_it_is_not_told_is_not(change):
    """The release is added on the host."""
    assert fingerprint(NO_CHANGES[change]) == fingerprint()


def test_the_options_of_a_models_section_count_in_a_router():
    models = {**TWO["models"], "other": {**TWO["models"]["other"], "context_size": 1024}}
    assert fingerprint({**TWO, "models": models})["values"] != fingerprint(TWO)["values"]


def test_the_programs_of_the_runner_count(tmp_path, monkeypatch):
    (tmp_path / "main.py").write_text("one\n")
    monkeypatch.setattr(rollout, "RUNNER", tmp_path)
    found = []
    for text in ("one\n", "two\n"):
        (tmp_path / "main.py").write_text(text)
        rollout._digest_of_runner.cache_clear()
        found.append(fingerprint()["values"])
    rollout._digest_of_runner.cache_clear()
    assert len(set(found)) == 2


def test_the_files_that_the_server_reads_count():
    paths = resolve(TWO)["paths"]
    assert fingerprint(TWO)["files"] == [
        f"{paths['models_dir']}/tiny.gguf",
        f"{paths['models_dir']}/other.gguf",
        f"{paths['service_dir']}/api-key",
    ]
    assert len(fingerprint({"server": {"api_key": "none"}})["files"]) == 1


def test_a_change_is_asked_what_verify_asks_but_for_the_device():
    found = resolve(host=MAC)
    health = found["service"]["rollout"]["health"]
    assert {**health, "server": found["health"]["server"], "expected_device": "MTL0"} == found["health"]
    assert set(health) < set(inspect.signature(check_server).parameters)


def test_the_time_to_get_ready_is_the_plays():
    config = rules.checked({"models": {"tiny": MODEL}}, SCHEMA, CATALOG, "test")
    found = plan.resolve(config, CATALOG, PINS, LINUX, ready_timeout=7)
    assert found["service"]["rollout"]["health"]["timeout"] == 7
    assert found["rollback"]["rollout"] == found["service"]["rollout"]


def test_what_is_rolled_out_is_the_command_line_and_the_options_of_a_routers_models():
    directory = resolve()["paths"]["service_dir"]
    assert resolve()["service"]["rollout"]["files"] == [f"{directory}/runner.json"]
    assert resolve(TWO)["service"]["rollout"]["files"] == [f"{directory}/runner.json", f"{directory}/models.ini"]


@pytest.mark.parametrize(("host", "managers_own"), [(MAC, {"domains"}), (LINUX, {"program", "supervisord"})])
def test_the_commands_know_what_client_json_has_from_the_plan(monkeypatch, host, managers_own):
    monkeypatch.syspath_prepend(TOOLS)
    from llm_tools.client_config import FORM

    found = resolve(host={**host, "launchctl": "/bin/launchctl"})
    description, rollback = found["service"]["description"], found["rollback"]
    assert set(description) <= set(FORM["service"])
    assert managers_own <= set(description)
    assert set(rollback) == set(FORM["rollback"])
    assert all(set(rollback[part]) <= set(FORM["rollback"][part]) for part in ("rollout", "selftest"))
    assert set(found["tools"]["models"][0]) == set(FORM["models"][0])
