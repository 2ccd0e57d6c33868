# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""On a host whose facts say macOS, missing Homebrew packages are installed and installed ones are left as they are."""

import json
import os

import pytest
from support.paths import REPOSITORY

PLAYBOOK = REPOSITORY / "tests" / "support" / "macos" / "playbook.yml"
TOOLS = REPOSITORY / "tests" / "support" / "bin"


@pytest.fixture
def brew(host):
    state = host.directory / "brew"
    state.mkdir()
    (state / "installed.json").write_text('{"git": {"outdated": true}, "cmake": {}}')
    host.config["llm_settings"]["metal_acceleration"] = False
    return state


def play(host, brew, *arguments):
    (host.directory / "home").mkdir(exist_ok=True)
    variables = json.dumps({"mac_home": str(host.directory / "home"), "llama_cpp_install_packages": True})
    environment = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "FAKE_BREW_STATE": str(brew)}
    return host.play("--tags", "llm_engine", "-e", variables, *arguments, playbook=PLAYBOOK, environment=environment)


def calls(brew):
    return [json.loads(line) for line in (brew / "calls.jsonl").read_text().splitlines()]


def test_only_what_is_missing_is_installed_and_nothing_is_upgraded(host, brew):
    play(host, brew)
    changes = [call for call in calls(brew) if call[0] != "info"]
    assert [call[0] for call in changes] == ["install"]
    assert sorted(changes[0][1:]) == ["python@3.12", "wget"]
    play(host, brew)
    assert [call for call in calls(brew) if call[0] != "info"] == changes


def test_check_mode_installs_nothing(host, brew):
    play(host, brew, "--check")
    assert {call[0] for call in calls(brew)} == {"info"}
