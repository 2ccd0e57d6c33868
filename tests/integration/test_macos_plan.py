# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""On a host whose facts say macOS, check mode shows the launchd plan and touches nothing; a real run builds nothing
where Apple's tools are missing.
"""

import json
import os

import pytest
from support.paths import REPOSITORY

PLAYBOOK = REPOSITORY / "tests" / "support" / "macos" / "playbook.yml"

#: scope -> what the plan must show for it, and what it must not
SHOWN = {
    "user": (
        ["Users/sam/Library/LaunchAgents/com.llama.server.plist", "<string>Background</string>"],
        ["<key>UserName</key>", "Have newsyslog rotate that file"],
    ),
    "system": (
        ["daemons/com.llama.server.plist", "<key>UserName</key>", "Have newsyslog rotate that file", "5 9765 * N"],
        ["<key>LimitLoadToSessionType</key>", "Users/sam/Library/LaunchAgents"],
    ),
}


@pytest.mark.parametrize("scope", SHOWN)
def test_check_mode_shows_the_launchd_plan(host, scope):
    if scope == "system" and os.getuid() != 0:
        pytest.skip("would ask for root's rights")
    home = host.directory / "Users" / "sam"
    home.mkdir(parents=True)
    host.config["service"] = {"scope": scope}
    del host.config["engine"]
    calls = host.directory / "launchctl-calls"
    launchctl = host.directory / "launchctl"
    launchctl.write_text(f'#!/bin/sh\necho "$1" >> {calls}\nexit 113\n')
    launchctl.chmod(0o755)
    before = sorted(path for path in host.directory.rglob("*"))
    variables = {
        "mac_home": str(home),
        "llama_cpp_launchctl": str(launchctl),
        "llama_cpp_daemons_dir": str(host.directory / "daemons"),
        "llama_cpp_newsyslog_dir": str(host.directory / "newsyslog"),
    }
    output = host.play("--check", "--diff", "-e", json.dumps(variables), playbook=PLAYBOOK)
    after = [path for path in host.directory.rglob("*") if path.name not in ("llm_config.json", calls.name)]
    assert sorted(after) == before
    assert set(calls.read_text().split()) <= {"print", "print-disabled"}, "launchd is only looked at"
    assert "com.llama.watchdog.plist" in output
    assert "<key>ProcessType</key>" in output
    assert "<string>Interactive</string>" in output
    assert "service/llama-server</string>" in output
    assert "Run the server under launchd" in output
    assert "Run the server under supervisor" not in output
    shown, hidden = SHOWN[scope]
    assert [words for words in shown if words not in output] == []
    assert [words for words in hidden if words in output] == []
    assert "Command Line Tools are missing" in " ".join(output.split())


def test_without_the_command_line_tools_nothing_is_begun(host):
    host.config["engine"] = {}
    output = host.play("-e", f"mac_home={host.directory}", playbook=PLAYBOOK, expect=2)
    assert "llama.cpp cannot be built here; nothing was changed" in output
    assert "xcode-select --install" in output
    assert not host.install.exists()


def test_a_mac_whose_python_is_a_stub_is_found_out_before_python_is_used(host):
    uname = host.directory / "uname"
    uname.write_text("#!/bin/sh\necho Darwin\n")
    uname.chmod(0o755)
    # A stub that a module would run: it leaves a trace.
    stub = host.directory / "python3"
    stub.write_text(f"#!/bin/sh\ntouch {host.directory}/dialog\nexit 1\n")
    stub.chmod(0o755)
    # By its full name the connection is not the one to this machine, as far as the role can tell.
    remote = ["-e", "ansible_connection=ansible.builtin.local", "-e", "ansible_python_interpreter=auto"]
    path = f"{host.directory}:{os.environ['PATH']}"
    output = host.play(*remote, environment={"PATH": path}, expect=2)
    assert "/usr/bin/python3 would only open a dialog" in " ".join(output.split())
    assert not (host.directory / "dialog").exists()
    assert not host.install.exists()
