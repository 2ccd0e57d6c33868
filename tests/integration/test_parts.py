# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Flags leave exactly their part out, every tag runs alone, and variables of a host win over the file."""

import json
import os

import pytest
from support.plays import free_port, processes_below, recap

TAGS = ["llm_config", "llm_engine", "llm_models", "llm_service", "llm_tools", "llm_verify"]


def parts(host):
    """Which parts are on the host."""
    found = {
        "install_llama_cpp": (host.install / "engine" / "current").exists(),
        "download_models": (host.install / "models" / "selftest.gguf").exists(),
        "setup_service": (host.install / "service").exists(),
        "install_client_tools": (host.bin / "llm").exists() or (host.install / "tools").exists(),
    }
    return {name for name, there in found.items() if there}


ALL = {"install_llama_cpp", "download_models", "setup_service", "install_client_tools"}


@pytest.mark.parametrize("off", ["setup_service", "install_client_tools"])
def test_a_flag_switched_off_leaves_its_part_out(host, off):
    host.config["feature_flags"] = {off: False}
    host.play()
    assert parts(host) == ALL - {off}
    assert bool(processes_below(host.directory)) is (off != "setup_service")


@pytest.mark.parametrize("off", ["install_llama_cpp", "download_models"])
def test_engine_and_models_may_be_left_out_alone(host, off):
    host.config["feature_flags"] = {off: False, "setup_service": False}
    host.play()
    assert parts(host) == ALL - {off, "setup_service"}


def test_without_the_engine_flag_the_installed_engine_stays_in_use(host):
    host.play()
    release = os.readlink(host.install / "engine" / "current")
    host.config["feature_flags"] = {"install_llama_cpp": False}
    host.config["engine"] = {"source": "git", "version": "b1"}
    host.play()
    assert os.readlink(host.install / "engine" / "current") == release
    assert host.answers()


def test_disabled_touches_nothing(host):
    host.config["llm_settings"]["enabled"] = False
    host.play()
    assert parts(host) == set()
    assert not host.install.exists()


def test_every_tag_runs_alone_on_an_installed_host_and_changes_nothing(host):
    host.play()
    for tag in TAGS:
        output = host.play("--tags", tag)
        assert recap(output)["changed"] == 0, output
    assert host.answers()


@pytest.mark.parametrize("tag", ["llm", "llama-cpp", "ai"])
def test_each_tag_of_the_whole_installs_all_of_it(host, tag):
    host.play("--tags", tag, "--check")
    output = host.play("--tags", tag, "--list-tasks")
    for stage in ("Config", "Preflight", "Engine", "Models", "Service", "Tools", "Verify"):
        assert f" : {stage} | " in output


def test_variables_of_the_host_win_over_the_file(host):
    port = free_port()
    overrides = {"llama_cpp_server_port": port, "llama_cpp_overrides": {"client": {"system_prompt": "Be brief."}}}
    host.play("-e", json.dumps(overrides))
    assert host.option("--port") == str(port)
    assert "Be brief." in (host.install / "tools" / "client.json").read_text()
    assert host.answers()


def test_variables_from_the_command_line_are_text_and_still_fit(host):
    output = host.play("--tags", "llm_config", "-e", "llama_cpp_server_port=9001", "-e", "llama_cpp_enabled=no")
    assert recap(output)["failed"] == 0


def test_a_wrong_variable_is_found_like_a_wrong_key(host):
    output = host.play("-e", "llama_cpp_default_model=nothing", expect=2)
    assert "llm_settings.default_model" in output
    assert not host.install.exists()


def test_a_command_of_someone_else_is_left_alone(host):
    host.bin.mkdir()
    theirs = host.bin / "llm"
    theirs.write_text("#!/bin/sh\necho theirs\n")
    theirs.chmod(0o755)
    output = host.play()
    assert theirs.read_text() == "#!/bin/sh\necho theirs\n"
    assert "llm-client" in output and str(theirs) in output
    assert host.run("llm-client", "What is the capital of France?").stdout == "The capital of France is Paris.\n"


def test_a_changed_configuration_restarts_once_and_an_unchanged_one_never(host):
    host.play()
    first = processes_below(host.directory)
    host.config["server"]["parallel"] = 2
    assert recap(host.play())["changed"] > 0
    second = processes_below(host.directory)
    assert not set(first) & set(second)
    assert host.starts() == 2
    output = host.play()
    assert recap(output)["changed"] == 0, output
    assert processes_below(host.directory) == second
    assert host.starts() == 2


def test_a_stray_configuration_of_llama_cpp_changes_nothing(host):
    home = host.directory / "home"
    (home / ".config" / "llama.cpp").mkdir(parents=True)
    (home / ".config" / "llama.cpp" / "config.ini").write_text("[*]\nport = 1\n")
    host.play(environment={"XDG_CONFIG_HOME": str(home / ".config"), "LLAMA_ARG_PORT": "2"})
    assert host.answers()


def test_an_option_that_the_engine_does_not_know_is_named_before_the_switch(host):
    host.config["server"] = {"arguments": {"mlock": True}}
    output = host.play(expect=2)
    assert "--mlock" in output and "--load-mode" in output
    assert not (host.install / "engine" / "current").exists()
    assert processes_below(host.directory) == []
