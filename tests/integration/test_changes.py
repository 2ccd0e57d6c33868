# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Plays on a host that serves: what they change, what they leave, and what a killed one leaves to the next."""

import os
import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.plays import recap

#: Of the parts, those that no other test here plays alone.
TAGS = ["llm_models", "llm_tools", "llm_verify"]
TRAP = "{{{{ lookup('ansible.builtin.pipe', 'touch {}') }}}}"


@pytest.fixture(scope="module")
def prepare():
    def prepare(host):
        prompt = TRAP.format(host.directory / "evaluated")
        host.config["client"] = {"system_prompt": prompt}
        host.config["models"]["selftest"]["description"] = prompt

    return prepare


def test_braces_in_the_configuration_are_never_evaluated(installed):
    assert not (installed.directory / "evaluated").exists()
    assert "lookup('ansible.builtin.pipe'" in (installed.install / "tools" / "client.json").read_text()


def test_a_changed_configuration_restarts_once_as_check_mode_said(installed):
    before, starts = installed.servers(), installed.starts()
    installed.config["server"]["parallel"] = 2
    output = installed.play("--check", "--diff", "--tags", "llm_service")
    assert any(line.startswith("+") and '"--parallel"' in line for line in output.splitlines()), output
    assert (installed.servers(), installed.starts()) == (before, starts)
    assert recap(installed.play())["changed"] > 0
    assert not set(before) & set(installed.servers())
    assert installed.starts() == starts + 1
    assert installed.answers()


def test_every_tag_runs_alone_and_changes_nothing(installed):
    before = installed.servers()
    for tag in TAGS:
        output = installed.play("--tags", tag)
        assert recap(output)["changed"] == 0, output
    assert installed.servers() == before
    assert installed.answers()


def test_without_the_engine_flag_the_installed_engine_stays_in_use(installed):
    release, engine = os.readlink(installed.install / "engine" / "current"), installed.config["engine"]
    installed.config["feature_flags"] = {"install_llama_cpp": False}
    installed.config["engine"] = {"source": "git", "version": "b1"}
    installed.play("--tags", "llm_engine,llm_service")
    assert os.readlink(installed.install / "engine" / "current") == release
    assert installed.answers()
    installed.config.update(feature_flags={}, engine=engine)


def test_an_option_that_the_engine_does_not_know_is_named_before_anything_is_done(installed):
    before, arguments = installed.servers(), dict(installed.config["server"]["arguments"])
    installed.config["server"]["arguments"]["mlock"] = True
    output = installed.play("--tags", "llm_service", expect=2)
    assert "--mlock" in output and "--load-mode" in output
    assert installed.servers() == before
    installed.config["server"]["arguments"] = arguments


def test_what_is_killed_between_a_change_and_its_restart_is_completed(installed):
    before, starts = installed.servers(), installed.starts()
    installed.config["server"]["parallel"] = 3
    play = installed.begin()
    assert play.until(lambda line: "Service | Run it under its manager" in line), play.output
    play.kill()
    assert wait_until(lambda: installed.servers() == before, 60), "only what served goes on"
    installed.play("--tags", "llm_service")
    assert installed.option("--parallel") == "3"
    assert not set(before) & set(installed.servers())
    assert installed.starts() == starts + 1
    assert installed.answers()


def test_a_port_that_is_taken_is_named_before_what_serves_is_touched(installed):
    before = installed.servers()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        installed.config["llm_settings"]["server_port"] = port
        output = installed.play("--tags", "llm_service", expect=2)
    assert f"Another program holds port {port}" in output
    assert installed.servers() == before
    assert installed.option("--port") == str(installed.port)
    assert installed.answers()
    installed.config["llm_settings"]["server_port"] = installed.port
