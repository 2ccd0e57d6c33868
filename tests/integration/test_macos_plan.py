# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""On a host whose facts say macOS, check mode shows the launchd plan and touches nothing; a real run builds nothing
where Apple's tools are missing, and an uninstallation gives back what was changed of the Mac itself.
"""

import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import settings as mac_settings
from support.macos import outputs
from support.macos.settable import SettableMac
from support.paths import REPOSITORY
from support.plays import listing
from support.recorded_programs import recorded_program, recorded_sysctl
from support.service_plan import render

PLAYBOOK = REPOSITORY / "tests" / "support" / "macos" / "playbook.yml"

AWAKE = '+    "/usr/bin/caffeinate",\n+    "-i",'
LIMIT = "--- before: iogpu.wired_limit_mb\n+++ after: iogpu.wired_limit_mb\n@@ -1 +1 @@\n-0\n+57344"
#: scope -> what else its owner asks of the Mac, what the plan must show for it, and what it must not
SHOWN = {
    "user": (
        {},
        [
            "Users/sam/Library/LaunchAgents/com.llama.server.plist",
            "<string>Background</string>",
            "sudo pmset -a autorestart 1",
        ],
        ["<key>UserName</key>", "Mac | Apply", "com.llama.wired-limit<", AWAKE],
    ),
    "system": (
        {"wired_limit_mb": 57344, "keep_awake": True},
        [
            "daemons/com.llama.server.plist",
            "<key>UserName</key>",
            "+    <string>iogpu.wired_limit_mb=57344</string>",
            LIMIT,
            AWAKE,
        ],
        [
            "<key>LimitLoadToSessionType</key>",
            "Users/sam/Library/LaunchAgents",
            "<key>StandardErrorPath</key>",
            "sudo pmset -a autorestart 1",
        ],
    ),
}


@pytest.mark.parametrize("scope", ["user" if os.getuid() else "system"])  # only root may look at what is root's
def test_check_mode_shows_the_launchd_plan(mac_host, scope):
    host, home = mac_host, mac_host.directory / "Users" / "sam"
    home.mkdir(parents=True)
    settings, shown, hidden = SHOWN[scope]
    host.config["service"] = {"scope": scope, **settings}
    del host.config["engine"]
    calls = host.directory / "launchctl-calls"
    launchctl = host.directory / "launchctl"
    launchctl.write_text(f'#!/bin/sh\necho "$1" >> {calls}\nexit 113\n')
    launchctl.chmod(0o755)
    power = {"-g custom": outputs.CUSTOM_DESKTOP, "-g": outputs.PMSET_MINI}
    variables = {
        "mac_home": str(home),
        "mac_pmset": recorded_program(host.directory / "pmset", power),
        "mac_sysctl": recorded_sysctl(host.directory / "sysctl", outputs.M1_MAX_64),
        "llama_cpp_launchctl": str(launchctl),
        "llama_cpp_daemons_dir": str(host.directory / "daemons"),
        "llama_cpp_newsyslog_dir": str(host.directory / "newsyslog"),
    }
    before = sorted(path for path in host.directory.rglob("*"))
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
    assert [words for words in shown if words not in output] == []
    assert [words for words in hidden if words in output] == []
    assert "Command Line Tools are missing" in " ".join(output.split())


def test_without_the_command_line_tools_nothing_is_begun(mac_host):
    host = mac_host
    host.config["engine"] = {}
    output = host.play("-e", f"mac_home={host.directory}", playbook=PLAYBOOK, expect=2)
    assert "llama.cpp cannot be built here; nothing was changed" in output
    assert "xcode-select --install" in output
    assert not host.install.exists()


def test_a_mac_whose_python_is_a_stub_is_found_out_before_python_is_used(mac_host):
    host = mac_host
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


@pytest.mark.skipif(os.getuid() != 0, reason="the plist of a daemon belongs to root")
def test_uninstalling_gives_back_what_was_changed_of_the_mac(mac_host):
    host = mac_host
    programs = host.directory.parent / "programs"
    programs.mkdir()
    mac, plist = SettableMac(programs), host.directory / "daemons" / "com.llama.wired-limit.plist"
    record = host.directory / "Application Support" / "macos_setup.llm" / "settings.json"
    for directory in (plist.parent, record.parent.parent):  # as in /Library
        directory.mkdir()
    mac_settings.converge(
        wired_limit_mb=57344,
        content=render(plist.name + ".j2", None, "Managed by macos_setup.llm.", wired_limit_mb=57344),
        autorestart=True,
        record=str(record),
        path=str(plist),
        sysctl=mac.sysctl,
        pmset=mac.pmset,
    )
    variables = {
        "mac_home": str(host.directory),
        "mac_sysctl": mac.sysctl,
        "mac_pmset": mac.pmset,
        "llama_cpp_daemons_dir": str(plist.parent),
        "llama_cpp_state": "absent",
        "ansible_become": False,
    }
    host.play("-e", json.dumps(variables), playbook=PLAYBOOK)
    assert (mac.limit.read_text(), mac.power.read_text()) == ("0\n", outputs.CUSTOM_DESKTOP)
    assert list(listing(host.directory)) == ["Application Support", "daemons", "llm_config.json"]
