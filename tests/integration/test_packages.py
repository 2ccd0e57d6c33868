# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""On a host whose facts say macOS, missing Homebrew packages are installed and installed ones are left as they are."""

import json
import os

from support.paths import REPOSITORY

PLAYBOOK = REPOSITORY / "tests" / "support" / "macos" / "playbook.yml"
TOOLS = REPOSITORY / "tests" / "support" / "bin"


def test_only_what_is_missing_is_installed_and_nothing_is_upgraded(mac_host):
    state, home = mac_host.directory / "brew", mac_host.directory / "home"
    state.mkdir()
    home.mkdir()
    (state / "installed.json").write_text('{"git": {"outdated": true}, "cmake": {}}')
    mac_host.config["llm_settings"]["metal_acceleration"] = False
    variables = json.dumps({"mac_home": str(home), "llama_cpp_install_packages": True})
    environment = {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}", "FAKE_BREW_STATE": str(state)}
    mac_host.play("--tags", "llm_engine", "-e", variables, playbook=PLAYBOOK, environment=environment)
    calls = [json.loads(line) for line in (state / "calls.jsonl").read_text().splitlines()]
    changes = [call for call in calls if call[0] != "info"]
    assert [call[0] for call in changes] == ["install"]
    assert sorted(changes[0][1:]) == ["python@3.12", "wget"]
