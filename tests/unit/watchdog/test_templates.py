# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the service managers are told about the watchdog, whatever characters its paths hold."""

import os
import plistlib
import shlex
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.plist import problems
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.config import SupervisorConfig
from supervisor import datatypes, options
from support.service_plan import render, service_plan

HOSTILE = ["plain", "a & b <c> 'd' \"e\"", "50 % off %(here)s ;x #y", "ünïcödé 模型", "back\\slash $X `id` *"]


def watchdog_plan(root, **service):
    plan = service_plan(root, **service)
    plan["watchdog"] = {
        "enabled": True,
        "name": "com.llama.watchdog",
        "program": "llama-watchdog",
        "launcher": os.path.join(root, "service", "llama-watchdog"),
    }
    plan["paths"].update(
        tools_dir=os.path.join(root, "tools"), client_config=os.path.join(root, "tools", "client.json")
    )
    return plan


@pytest.fixture(params=HOSTILE)
def plan(request, tmp_path):
    plan = watchdog_plan(str(tmp_path / request.param))
    for directory in ("run", "logs", "service"):
        os.makedirs(os.path.join(plan["paths"]["install_dir"], directory))
    return plan


def test_launchd_reads_what_the_plan_says(plan):
    output = plan["service"]["output_file"]
    assert plistlib.loads(render("com.llama.watchdog.plist.j2", plan).encode()) == {
        "Label": "com.llama.watchdog",
        "ProgramArguments": [plan["watchdog"]["launcher"]],
        "EnvironmentVariables": {"HOME": plan["host"]["home"], "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        "StandardOutPath": output,
        "StandardErrorPath": output,
        "LimitLoadToSessionType": "Aqua",
        "RunAtLoad": True,
        "KeepAlive": True,
        "ThrottleInterval": 1,
        "Umask": 0o077,
    }


@pytest.mark.parametrize(
    ("domain", "scope", "more"),
    [
        ("gui/501", "user", {"LimitLoadToSessionType": "Aqua"}),
        ("user/501", "user", {"LimitLoadToSessionType": "Background"}),
        ("system", "system", {"UserName": "llama"}),
    ],
)
def test_the_strict_check_takes_it_in_every_domain(tmp_path, domain, scope, more):
    text = render("com.llama.watchdog.plist.j2", watchdog_plan(str(tmp_path), domain=domain, scope=scope))
    assert problems(text, "/x/com.llama.watchdog.plist", domain) == []
    keys = plistlib.loads(text.encode())
    assert {name: keys.get(name) for name in ("LimitLoadToSessionType", "UserName")} == {
        "LimitLoadToSessionType": None,
        "UserName": None,
        **more,
    }


@pytest.mark.processes
def test_the_launcher_waits_for_the_commands_and_starts_them_with_their_configuration(plan):
    """Started before they are installed, it becomes the watchdog once they are, without another try of its manager."""
    text = render("llama-watchdog.sh.j2", plan, "Managed by Ansible.\nDo not edit.")
    launcher = subprocess.Popen(
        ["/bin/sh", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )
    assert wait_until(lambda: any(p.parent == launcher.pid for p in processes.find(lambda p: True)), 10), "it waits"
    python = os.path.join(plan["paths"]["tools_dir"], "venv", "bin", "python")
    os.makedirs(os.path.dirname(python))
    with open(python, "w", encoding="utf-8") as script:
        script.write('#!/bin/sh\nprintf "%s\\n" $$ "$LLAMA_CPP_CLIENT_CONFIG" "$@"\n')
    os.chmod(python, 0o755)
    config = plan["paths"]["client_config"]
    with open(config, "w", encoding="utf-8"):
        pass
    printed, _errors = launcher.communicate(timeout=30)
    lib = os.path.join(plan["paths"]["tools_dir"], "lib")
    assert printed.splitlines() == [str(launcher.pid), config, "-I", lib, "llm-manager", "watchdog"]


def test_supervisor_runs_it_beside_the_server(plan, tmp_path):
    file = tmp_path / "supervisord.conf"
    file.write_text(render("supervisord.conf.j2", plan), encoding="utf-8")
    server = options.ServerOptions()
    server.realize(["-c", str(file)])
    programs = {group.process_configs[0].name: group.process_configs[0] for group in server.process_group_configs}
    assert set(programs) == {"llama-server", "llama-watchdog"}
    program = programs["llama-watchdog"]
    assert shlex.split(program.command) == [plan["watchdog"]["launcher"]]
    assert program.stdout_logfile == plan["service"]["output_file"]
    assert program.environment == {"SUPERVISOR_SERVER_URL": ""}
    assert program.autostart and program.autorestart is datatypes.RestartUnconditionally


def test_our_reader_finds_the_server_beside_it(plan, tmp_path):
    plan["service"]["socket"] = "/tmp/s.sock"
    config = SupervisorConfig(render("supervisord.conf.j2", plan), str(tmp_path / "supervisord.conf"), "llama-server")
    assert shlex.split(config.command) == [plan["service"]["launcher"]]


@pytest.mark.parametrize("template", ["com.llama.watchdog.plist.j2", "llama-watchdog.sh.j2"])
def test_the_header_cannot_break_the_files(tmp_path, template):
    text = render(template, watchdog_plan(str(tmp_path)), "a -- b --- c ---> <x> &\n</dict>")
    if template.endswith(".plist.j2"):
        assert plistlib.loads(text.encode())["Label"] == "com.llama.watchdog"
    else:
        assert subprocess.run(["/bin/sh", "-n", "-c", text], check=False).returncode == 0
