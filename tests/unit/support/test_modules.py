# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What stands between a test and a module run as Ansible runs it hides nothing of how that went."""

import os

import pytest
from support.modules import run_module

pytestmark = pytest.mark.processes


def test_each_run_is_a_process_with_the_directory_and_environment_of_the_test(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "a-program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    arguments = {"manifest": str(tmp_path / "manifest.json"), "programs": ["a-program"]}
    without = run_module("host_info", arguments)
    found = run_module("host_info", arguments, environment={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (without["programs"], found["programs"]) == ({"a-program": None}, {"a-program": str(program)})


def test_a_refusal_is_a_result():
    assert run_module("host_info", {})["failed"]


def test_a_crash_is_told_with_its_traceback():
    with pytest.raises(AssertionError, match="no_such_module"):
        run_module("no_such_module", {})


def test_a_run_that_takes_too_long_is_ended(tmp_path):
    sleeper = tmp_path / "launchctl"
    sleeper.write_text("#!/bin/sh\nexec sleep 5\n")
    sleeper.chmod(0o755)
    job = {"label": "x", "plist": "/x/x.plist", "domains": ["gui/1"], "state": "absent", "launchctl": str(sleeper)}
    with pytest.raises(AssertionError, match="timeout"):
        run_module("launchd_service", job, timeout=0.5)
