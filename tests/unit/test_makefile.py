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


@pytest.mark.parametrize(("words", "more"), [([], []), (["MODEL=selftest"], ["demo_selftest.yml"])])
def test_the_model_of_the_demo_is_chosen_on_the_command_line(checkout, words, more):
    environment = {**os.environ, "MODEL": "of another program"}
    command = ["make", "demo", "PYTHON=.venv/bin/python3", *words]
    subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=True)
    told = (checkout / "told").read_text().splitlines()
    variables = [line.removeprefix("@") for line in told if line.startswith("@")]
    assert variables == [f"playbooks/vars/{name}" for name in ("demo.yml", *more)]
    assert all((REPOSITORY / file).is_file() for file in variables)


def test_a_demo_that_fails_gives_advice_and_fails(checkout):
    (checkout / ".venv" / "bin" / "python").write_text(TOLD + 'case "$*" in *ansible-playbook*) exit 1 ;; esac\n')
    command = ["make", "demo", "PYTHON=.venv/bin/python3"]
    assert subprocess.run(command, cwd=checkout, capture_output=True, check=False).returncode == 2
    told = (checkout / "told").read_text().splitlines()
    assert "advise" in told and "report" not in told
