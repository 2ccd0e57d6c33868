# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service templates mean what the plan says, whatever characters its paths hold."""

import os
import plistlib
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.plist import problems
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.config import SupervisorConfig
from supervisor import options
from support.service_plan import TEMPLATES, render, service_plan

HOSTILE = [
    "plain",
    "with blank",
    "a & b <c> d",
    """it's "quoted\"""",
    "50 % off %(here)s %%",
    "semi ; colon;x",
    "hash # mark#x",
    "no-break\u00a0; blank",
    "ünïcödé 模型",
    "{{ braces }} {% x %}",
    "back\\slash $HOME `id` *",
    "ends in a blank ",
]


def with_ansible(template, plan, managed_by):
    """The same template through Ansible's own templar."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar

    text = (TEMPLATES / template).read_text(encoding="utf-8")
    try:
        from ansible.template import trust_as_template

        text = trust_as_template(text)
    except ImportError:  # before ansible-core 2.19 every text is a template, so data is marked instead
        from ansible.utils.unsafe_proxy import wrap_var

        plan = wrap_var(plan)
    templar = Templar(loader=DataLoader(), variables={"plan": plan, "managed_by": managed_by})
    return templar.copy_with_new_env(searchpath=[str(TEMPLATES)]).template(text)


def parsed_by_supervisor(text, directory, program="llama-server"):
    """What supervisor's own parser makes of the configuration: (its [supervisord] section, program, socket)."""
    file = Path(directory) / "supervisord.conf"
    file.write_text(text, encoding="utf-8")
    server = options.ServerOptions()
    server.realize(["-c", str(file)])
    section = server.configroot.supervisord
    (group,) = server.process_group_configs
    (process,) = group.process_configs
    assert process.name == program
    return section, process, section.server_configs[0]["file"]


@pytest.fixture(params=HOSTILE)
def plan(request, tmp_path):
    root = tmp_path / request.param
    plan = service_plan(root)
    for directory in ("run", "logs", "service"):
        (root / directory).mkdir(parents=True)
    return plan


def test_supervisor_reads_what_the_plan_says(plan, tmp_path):
    section, program, socket = parsed_by_supervisor(render("supervisord.conf.j2", plan), tmp_path)
    service = plan["service"]
    assert socket == service["socket"]
    assert section.pidfile == service["pid_file"] and section.logfile == service["supervisord_log"]
    assert section.directory == service["run_dir"] and section.umask == 0o077 and not section.nodaemon
    assert shlex.split(program.command) == [service["launcher"]]
    assert program.directory == plan["paths"]["install_dir"]
    assert program.stdout_logfile == plan["service"]["output_file"] and program.redirect_stderr
    assert program.stdout_logfile_maxbytes == 0
    assert program.environment == {"LLAMA_CPP_SERVICE_FINGERPRINT": service["placeholders"]["fingerprint"]}
    assert (program.stopwaitsecs, program.startsecs, program.umask) == (5, 1, 0o077)
    assert section.server_configs == [c for c in section.server_configs if c["section"] == "unix_http_server"]


def test_our_reader_agrees_with_the_template(plan, tmp_path):
    service = plan["service"]
    service["socket"] = service["socket"][-60:] if service["socket"][-60] == "/" else "/tmp/;#%s.sock"
    config = SupervisorConfig(render("supervisord.conf.j2", plan), str(tmp_path / "supervisord.conf"), "llama-server")
    assert config.socket == service["socket"] and config.pid_file == service["pid_file"]
    assert config.log == service["supervisord_log"] and shlex.split(config.command) == [service["launcher"]]
    assert (config.start_seconds, config.start_retries, config.stop_seconds) == (1, 10, 5)


def test_launchd_reads_what_the_plan_says(plan):
    job = plistlib.loads(render("com.llama.server.plist.j2", plan).encode())
    log = plan["service"]["output_file"]
    assert job == {
        "Label": "com.llama.server",
        "ProgramArguments": [plan["service"]["launcher"]],
        "EnvironmentVariables": {
            "HOME": plan["host"]["home"],
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "LLAMA_CPP_SERVICE_FINGERPRINT": plan["service"]["placeholders"]["fingerprint"],
        },
        "WorkingDirectory": plan["paths"]["install_dir"],
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "LimitLoadToSessionType": "Aqua",
        "RunAtLoad": True,
        "KeepAlive": {"Crashed": True, "SuccessfulExit": False},
        "ThrottleInterval": 1,
        "ExitTimeOut": 5,
        "ProcessType": "Interactive",
        "SoftResourceLimits": {"NumberOfFiles": 4096},
        "Umask": 0o077,
    }


def test_the_strict_check_takes_every_path_but_those_that_look_unexpanded(plan):
    text = render("com.llama.server.plist.j2", plan)
    found = problems(text, "/x/com.llama.server.plist", "gui/501")
    assert bool(found) == any(mark in plan["paths"]["install_dir"] for mark in ("$HOME", "{{"))


def test_a_daemon_runs_as_an_ordinary_user(tmp_path):
    plan = service_plan(tmp_path, manager="launchd", scope="system", domain="system", user="svc & co")
    job = plistlib.loads(render("com.llama.server.plist.j2", plan).encode())
    assert job["UserName"] == "svc & co" and "LimitLoadToSessionType" not in job


@pytest.mark.parametrize("scope", ["user", "system"])
def test_launchd_as_root_opens_no_file_of_the_user(tmp_path, scope):
    plan = service_plan(tmp_path, manager="launchd", scope=scope)
    job = plistlib.loads(render("com.llama.server.plist.j2", plan).encode())
    output = plan["service"]["output_file"]
    assert [key for key in job if job[key] == output] == (
        ["StandardOutPath", "StandardErrorPath"] if scope == "user" else []
    )
    # Then the launcher, which is the user's, writes there itself.
    os.makedirs(plan["paths"]["logs_dir"])
    plan["service"]["python"] = "/bin/echo"
    plan["service"]["runner"].update(directory="ran", config="config")
    script = render("llama-server.sh.j2", plan)
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    written = Path(output).read_text(encoding="utf-8") if scope == "system" else done.stdout
    assert written == "-I ran --config config\n"


def test_a_user_who_is_not_logged_in_gets_a_background_session(tmp_path):
    plan = service_plan(tmp_path, domain="user/501")
    job = plistlib.loads(render("com.llama.server.plist.j2", plan).encode())
    assert job["LimitLoadToSessionType"] == "Background" and "UserName" not in job


def test_without_automatic_start_supervisor_does_not_start_the_program(tmp_path):
    assert "\nautostart=false\n" in render("supervisord.conf.j2", service_plan(tmp_path, auto_start=False))


@pytest.mark.parametrize("template", ["com.llama.server.plist.j2", "supervisord.conf.j2"])
def test_ansible_renders_the_same(template, plan):
    managed_by = "Managed by Ansible -- do --- not\nedit."
    assert with_ansible(template, plan, managed_by) == render(template, plan, managed_by)


def test_ansible_ends_what_is_included_with_a_line_too(tmp_path):
    plan = service_plan(tmp_path, python="/p")
    plan["service"]["runner"].update(directory="/d", config="/c")
    text = with_ansible("llama-server.sh.j2", plan, "Managed")
    lines = [line for line in render("llama-server.sh.j2", plan, "Managed").splitlines() if line]
    assert [line for line in text.splitlines() if line] == lines and "fi" in lines


def test_the_header_cannot_break_the_files(tmp_path):
    managed_by = "a -- b --- c ---> <x> &\n[program:evil]\ncommand=/bin/false"
    plan = service_plan(tmp_path)
    assert plistlib.loads(render("com.llama.server.plist.j2", plan, managed_by).encode())
    text = render("supervisord.conf.j2", plan, managed_by)
    config = SupervisorConfig(text, os.path.join(str(tmp_path), "c"), "llama-server")
    assert config.start_retries == 10
    with pytest.raises(Exception, match="evil"):
        SupervisorConfig(text, "c", "evil")
