# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Parts of the whole: flags leave out exactly theirs. (Tags: test_changes.py, unit/controller/test_role.py.)"""

from support.plays import processes_below, recap

ALL_OFF = dict.fromkeys(("install_llama_cpp", "download_models", "setup_service", "install_client_tools"), False)


def parts(host):
    """Which parts are on the host."""
    found = {
        "install_llama_cpp": (host.install / "engine" / "current").exists(),
        "download_models": (host.install / "models" / "selftest.gguf").exists(),
        "setup_service": (host.install / "service").exists(),
        "install_client_tools": (host.bin / "llm").exists() or (host.install / "tools").exists(),
    }
    return {name for name, there in found.items() if there}


def test_each_flag_adds_its_part_and_nothing_else(host):
    """(The service, without the tools: test_interruptions.py.)"""
    host.config["feature_flags"] = dict(ALL_OFF)
    wanted = set()
    for flag in ("download_models", "install_llama_cpp", "install_client_tools"):
        host.config["feature_flags"][flag] = True
        host.play()
        wanted.add(flag)
        assert parts(host) == wanted
    assert not processes_below(host.directory)


def test_disabled_by_a_variable_that_is_text_nothing_is_touched(host):
    output = host.play("-e", "llama_cpp_server_port=9001", "-e", "llama_cpp_enabled=no")
    assert recap(output)["failed"] == 0
    assert parts(host) == set()
    assert not host.install.exists()
