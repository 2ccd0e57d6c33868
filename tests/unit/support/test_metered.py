# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The CPU time of a command includes that of all its descendants, orphans among them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import metered

BURN = "import time\nwhile time.process_time() < 0.5: pass"


def measure(directory, *command):
    report = directory / "cost.json"
    done = subprocess.run([sys.executable, metered.__file__, report, *command], check=False)
    return done.returncode, json.loads(report.read_text())


def test_the_command_and_its_exit_status(tmp_path):
    code, cost = measure(tmp_path, sys.executable, "-c", BURN + "\nraise SystemExit(7)")
    assert code == 7
    assert cost["cpu"] >= 0.5 and cost["wall"] > 0
    assert measure(tmp_path, "/bin/sh", "-c", "kill -9 $$")[0] == 128 + 9


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="elsewhere the kernel hands orphans to no one but init")
def test_what_outlives_its_parent_is_counted(tmp_path):
    orphan = [sys.executable, "-c", BURN]
    parent = f"import subprocess\nsubprocess.Popen({orphan!r}, start_new_session=True)"
    code, cost = measure(tmp_path, sys.executable, "-c", parent)
    assert code == 0
    assert cost["cpu"] >= 0.5


def test_what_was_ended_from_outside_has_cost_something_too(tmp_path):
    """By a signal to its whole process group, as a compile that is given up is ended."""
    report = tmp_path / "cost.json"
    burning = [sys.executable, "-c", BURN + "\nprint(flush=True)\nwhile True: pass"]
    command = [sys.executable, metered.__file__, report, *burning]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert json.loads(report.read_text())["cpu"] >= 0.5
