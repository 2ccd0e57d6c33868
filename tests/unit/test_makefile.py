# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The front door in a checkout whose path a shell would execute."""

import os
import shutil
import subprocess

import pytest
from support.paths import REPOSITORY

pytestmark = pytest.mark.processes

TOLD = """#!/bin/sh
printf '%s\\n' "$@" "DEMO=$DEMO" >> told
"""


@pytest.fixture
def checkout(tmp_path):
    """One whose virtual environment is there already; its Python writes down what it is asked."""
    directory = tmp_path / "a $(touch pwned) `touch pwned` 'b\" & c"
    (directory / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Makefile", directory)
    shutil.copytree(REPOSITORY / "requirements", directory / "requirements")
    for name in ("python", "python3"):
        (directory / ".venv" / "bin" / name).write_text(TOLD)
        (directory / ".venv" / "bin" / name).chmod(0o755)
    for name in ("runtime", "test"):
        (directory / ".venv" / name).touch()
    return directory


@pytest.mark.parametrize("target", ["demo", "demo-clean", "install", "check", "test", "bench"])
def test_no_shell_reads_the_path_of_the_checkout(checkout, target):
    done = subprocess.run(
        ["make", target, "PYTHON=.venv/bin/python3"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"DEMO={checkout / '.demo'}" in (checkout / "told").read_text().splitlines()
    assert not list(checkout.parent.rglob("pwned")) and not os.path.exists("pwned")
