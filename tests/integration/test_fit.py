# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What does not fit is refused before anything is touched, and what is asked of a Mac is known before it is done."""

import json
import os
import shutil

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.gguf import inspect
from ansible_collections.macos_setup.llm.plugins.module_utils.model_memory import estimated
from support.macos import outputs
from support.paths import REPOSITORY
from support.plays import processes_below, recap
from support.recorded_programs import recorded_program, recorded_sysctl

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
MAC = REPOSITORY / "tests" / "support" / "macos" / "playbook.yml"
HUGE = {"huge": {"url": "https://models.example/huge.gguf", "bytes": 1 << 60}}

AWAKE = '+    "/usr/bin/caffeinate",\n+    "-i",'


@pytest.fixture
def huge(host):
    host.config["models"] = HUGE
    host.config["llm_settings"]["default_model"] = "huge"
    return host


def test_a_model_that_cannot_fit_is_refused_before_anything_is_touched(huge):
    output = huge.play(expect=2)
    assert "models.huge needs 1073741824.0 GiB for its weights alone" in output
    assert "It was not downloaded." in output and "are to be downloaded to" in output
    assert "in the catalog that fits" in output and "llama_cpp_fit=warn" in output
    assert not huge.install.exists() and processes_below(huge.directory) == []


def test_the_refusal_can_be_overridden(huge):
    output = huge.play("--check", "-e", "llama_cpp_fit=warn")
    assert recap(output)["failed"] == 0 and "models.huge needs" in output


def test_a_context_that_cannot_fit_is_found_as_soon_as_the_header_can_be_read(host):
    host.config["models"]["selftest"]["context_size"] = 1 << 40
    output = host.play(expect=2)
    assert "models.selftest needs" in output and "It was not put into service." in output
    assert not (host.install / "models").exists()
    assert processes_below(host.directory) == []


def test_models_that_fit_only_one_at_a_time_are_refused_unless_only_one_is_loaded(host):
    memory, info = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), inspect(str(SELFTEST))
    one, two = (estimated(info, number << 20).total for number in (1, 2))
    context = int(0.6 * memory / (two - one) * (1 << 20))
    for name in ("second", "third"):
        path = host.directory / f"{name}.gguf"
        shutil.copy(SELFTEST, path)
        host.config["models"][name] = {"path": str(path), "context_size": context}
    output = host.play(expect=2)
    assert "models.second" in output and "models.third" in output
    assert "Set server.max_loaded_models to 1." in output
    assert not host.install.exists() and processes_below(host.directory) == []
    host.config["server"]["max_loaded_models"] = 1
    assert recap(host.play("--check"))["failed"] == 0


@pytest.fixture
def on_mac(host):
    """The role in check mode on a host whose facts say macOS, with 64 GiB; its programs answer as recorded."""
    home = host.directory / "Users" / "sam"
    home.mkdir(parents=True)
    power = {"-g custom": outputs.CUSTOM_DESKTOP, "-g": outputs.PMSET_MINI}
    variables = {
        "mac_home": str(home),
        "mac_pmset": recorded_program(host.directory / "pmset", power),
        "llama_cpp_launchctl": str(host.directory / "no launchctl"),
        "ansible_become": False,
    }

    def play(sysctl, expect=0, **service):
        host.config["service"] = service
        given = {**variables, "mac_sysctl": recorded_sysctl(host.directory / "sysctl", sysctl)}
        arguments = ["--check", "--diff", "--tags", "llm_service", "-e", json.dumps(given)]
        return host.play(*arguments, playbook=MAC, expect=expect)

    return play


def test_a_limit_that_a_mac_cannot_have_is_refused_first(on_mac):
    output = on_mac(outputs.INTEL, expect=2, wired_limit_mb=57344)
    assert "service.wired_limit_mb: 57344 cannot be set" in output and "Mac | Set" not in output


def test_what_is_asked_of_a_mac_itself_is_shown(on_mac):
    output = on_mac(outputs.M1_MAX_64, wired_limit_mb=57344, keep_awake=True)
    assert "+    <string>iogpu.wired_limit_mb=57344</string>" in output
    assert "--- before: iogpu.wired_limit_mb\n+++ after: iogpu.wired_limit_mb\n@@ -1 +1 @@\n-0\n+57344" in output
    assert AWAKE in output


def test_nothing_is_asked_of_a_mac_by_itself(on_mac):
    output = on_mac(outputs.M1_MAX_64)
    assert "Mac | Set" not in output and "com.llama.wired-limit" not in output and AWAKE not in output
    assert "To have it start again: sudo pmset -a autorestart 1" in " ".join(output.split())
