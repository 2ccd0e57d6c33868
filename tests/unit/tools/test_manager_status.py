# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager status``: every state of service and server, and its exit status."""

import json
import os
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from llm_tools.environment import Environment
from llm_tools.manager.status import client_rows

pytestmark = pytest.mark.processes


def status_of(commands):
    done = commands.run("llm-manager", "status", "--json")
    return done.returncode, json.loads(done.stdout)


def test_healthy(commands, supervised):
    assert commands.run("llm-manager", "start").returncode == 0
    code, status = status_of(commands)
    assert code == 0
    assert status["service"]["running"] and status["service"]["pid"] > 0
    expected = {"state": "ready", "url": supervised.url, "build": "b0-0c1e570", "model": "tiny", "message": None}
    assert status["server"] == expected
    done = commands.run("llm-manager", "status")
    assert (done.returncode, done.stderr) == (0, "")
    for shown in (
        f"pid {status['service']['pid']}",
        "ready",
        supervised.url,
        "tiny",
        "b0-0c1e570",
        str(supervised.log),
    ):
        assert shown in done.stdout


def test_stopped(commands, supervised):
    code, status = status_of(commands)
    assert (code, status["service"]["running"], status["server"]["state"]) == (3, False, "down")
    done = commands.run("llm-manager", "status")
    assert done.returncode == 3
    assert "llm-manager start" in done.stderr


def test_not_installed(commands, supervised):
    supervised.definition.unlink()
    code, status = status_of(commands)
    assert (code, status["service"]["installed"]) == (3, False)


def test_loading(commands, supervised):
    supervised.set_mode("loading-forever")
    supervised.service.start()
    assert wait_until(lambda: status_of(commands)[0] != 3, 30)
    code, status = status_of(commands)
    assert (code, status["service"]["running"], status["server"]["state"]) == (4, True, "loading")


def test_key_that_is_refused(commands, supervised):
    assert commands.run("llm-manager", "start").returncode == 0
    supervised.key_file.write_text("another\n")
    code, status = status_of(commands)
    assert (code, status["server"]["state"]) == (5, "unauthorised")


def test_another_program_on_the_port_is_not_taken_for_the_service(commands, supervised, serve):
    with serve():
        code, status = status_of(commands)
    assert (code, status["service"]["running"]) == (1, False)
    assert "another program" in status["server"]["message"]


def test_other_servers_of_the_user_are_none_of_its_business(commands, supervised):
    environ = {"LLM_BASE_URL": "http://127.0.0.1:9", "LLM_API_KEY": "wrong"}
    done = commands.run("llm-manager", "start", environ=environ)
    assert done.returncode == 0, done.stderr
    assert commands.run("llm-manager", "status", environ=environ).returncode == 0


def test_colours_only_where_they_are_wanted(commands, supervised):
    assert "\x1b[" not in commands.run("llm-manager", "status").stdout
    assert "\x1b[31m" in commands.run("llm-manager", "status", environ={"CLICOLOR_FORCE": "1"}).stdout
    both = {"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}
    assert "\x1b[" not in commands.run("llm-manager", "status", environ=both).stdout
    assert "\x1b[31m" in commands.on_terminal("llm-manager", "status")[1]


def test_without_a_service(commands):
    done = commands.run("llm-manager", "status")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("theirs, shown", [(None, "not in the PATH"), ("#!/bin/sh\n", "another program")])
def test_a_client_that_its_name_does_not_run_is_told(tmp_path, theirs, shown):
    (tmp_path / "client.json").write_text(json.dumps({"paths": {"bin_dir": "/home/sam/.local/bin"}}))
    environ = {"LLAMA_CPP_CLIENT_CONFIG": str(tmp_path / "client.json"), "PATH": str(tmp_path)}
    command = tmp_path / "llm"
    if theirs is not None:
        command.write_text(theirs)
        command.chmod(0o755)
    ((_name, told, _colour),) = client_rows(Environment("llm-manager", environ))
    assert shown in told and "/home/sam/.local/bin/llm-client" in told
    command.write_text(f"#!/bin/sh\n# {MANAGED_BY}\n")
    command.chmod(0o755)
    assert client_rows(Environment("llm-manager", environ)) == []


def test_last_exit_is_shown(commands, supervised):
    assert commands.run("llm-manager", "start").returncode == 0
    os.kill(status_of(commands)[1]["service"]["pid"], 9)
    assert wait_until(lambda: status_of(commands)[1]["service"]["last_exit"] == -9, 30)
    assert "signal 9" in commands.run("llm-manager", "status").stdout


def test_a_service_that_was_given_up_on_says_why(commands, supervised, tmp_path):
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"held": True, "why": "the server ended 5 times in a row", "exits": [], "child": None}))
    commands.config["service"]["state_file"] = str(state)
    code, status = status_of(commands)
    assert (code, status["service"]["held"]) == (3, True)
    assert status["service"]["why"] == "the server ended 5 times in a row"
    assert (
        "crash loop  no more restarts: the server ended 5 times in a row"
        in commands.run("llm-manager", "status").stdout
    )


def test_a_server_that_was_not_started_says_why_before_it_is_given_up(commands, supervised, tmp_path):
    """Without a usable key nothing is served, and status has to say so, although it reads the same file."""
    supervised.key_file.write_text("# none\n")
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"held": False, "why": "the key file holds no key", "exits": [], "child": None}))
    commands.config["service"]["state_file"] = str(state)
    code, status = status_of(commands)
    assert (code, status["server"]["state"], status["service"]["held"]) == (2, "misconfigured", False)
    assert status["service"]["why"] == "the key file holds no key"
    assert str(supervised.key_file) in status["server"]["message"]
    assert "not started: the key file holds no key" in commands.run("llm-manager", "status").stdout


def test_a_service_that_runs_is_not_held(commands, supervised, tmp_path):
    for content in (None, "{", json.dumps({"held": False, "why": None, "exits": [], "child": None})):
        if content is not None:
            (tmp_path / "state.json").write_text(content)
        commands.config["service"]["state_file"] = str(tmp_path / "state.json")
        service = status_of(commands)[1]["service"]
        assert (service["held"], service["why"]) == (False, None)
    assert "crash loop" not in commands.run("llm-manager", "status").stdout


def watched(commands, tmp_path, **memory):
    """The commands are configured for a watchdog that left this memory, and one event in its log."""
    section = {"interval": 60, "state_file": str(tmp_path / "watchdog.json"), "log": str(tmp_path / "watchdog.log")}
    commands.config["watchdog"] = section
    if memory:
        (tmp_path / "watchdog.json").write_text(json.dumps(memory))
        (tmp_path / "watchdog.log").write_text("1 loading: the server loads\n2 answering: the server answers\n")


def test_the_watchdog_tells_its_state_and_its_last_event(commands, supervised, tmp_path):
    watched(commands, tmp_path, state="answering", looked=time.time())
    watchdog = status_of(commands)[1]["watchdog"]
    assert (watchdog["state"], watchdog["looks"]) == ("answering", True)
    assert watchdog["last_event"] == "2 answering: the server answers"
    shown = commands.run("llm-manager", "status").stdout
    assert "active (last check " in shown and "2 answering: the server answers" in shown
    assert "not looked since" not in shown


def test_a_watchdog_that_does_not_look_any_more_is_told(commands, supervised, tmp_path):
    watched(commands, tmp_path, state="answering", looked=time.time() - 3600)
    assert status_of(commands)[1]["watchdog"]["looks"] is False
    assert "inactive (last check " in commands.run("llm-manager", "status").stdout


def test_a_watchdog_that_has_not_begun_and_none_at_all(commands, supervised, tmp_path):
    assert status_of(commands)[1]["watchdog"] is None
    watched(commands, tmp_path)
    assert status_of(commands)[1]["watchdog"]["last_event"] is None
    assert "no check yet" in commands.run("llm-manager", "status").stdout
