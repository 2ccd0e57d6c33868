# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The front door in a checkout whose path a shell would execute, and in the environments that people have."""

import os
import shutil
import subprocess

import pytest
from support.paths import REPOSITORY

pytestmark = pytest.mark.processes

TOLD = """#!/bin/sh
printf '%s\\n' "$@" "DEMO=$DEMO" "LC_ALL=$LC_ALL" >> told
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


def make(checkout, *words, **variables):
    """What the Python of the environment was asked, in lines; of the locale the process has only ``variables``."""
    foreign = ("LANG", "LC_ALL", "LC_CTYPE")
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    done = subprocess.run(
        ["make", *words, "PYTHON=.venv/bin/python3"],
        cwd=checkout,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (checkout / "told").read_text().splitlines()


def chosen(lines):
    return next(line for line in lines if line.startswith("LC_ALL=")).partition("=")[2]


@pytest.mark.parametrize(
    "variables",
    [
        *({"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LANG": ""}, {"LC_CTYPE": "xx_XX"}),
        *({"LANG": "xx_XX.UTF-8"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {"LANG": "C.UTF-8", "LC_NUMERIC": "xx_XX.UTF-8"}),
    ],
    ids=str,
)
def test_the_play_runs_with_a_utf8_locale_that_is_installed(checkout, variables):
    locale = chosen(make(checkout, "install", **variables))
    environment = {**os.environ, "LC_ALL": locale}
    found = subprocess.run(["locale", "charmap"], env=environment, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("UTF-8\n", "")


@pytest.mark.parametrize(
    ("installed", "wanted"),
    [("C POSIX af_ZA.UTF-8 en_US.UTF-8", "en_US.UTF-8"), ("C nb_NO.utf8", "nb_NO.utf8"), ("", "C.UTF-8")],
)
def test_english_before_any_other_language(checkout, tmp_path, installed, wanted):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "locale").write_text(f"#!/bin/sh\nfor name in {installed}; do echo $name; done\n")
    (tmp_path / "bin" / "locale").chmod(0o755)
    assert chosen(make(checkout, "install", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")) == wanted


def test_a_locale_that_works_is_kept(checkout):
    assert chosen(make(checkout, "install", LANG="C.UTF-8")) == ""


def test_pip_installs_into_the_environment_where_uv_fails(checkout):
    uv = checkout / ".venv" / "bin" / "uv"
    uv.write_text("#!/bin/sh\nexit 1\n")
    uv.chmod(0o755)
    (checkout / ".venv" / "runtime").unlink()
    lines = make(checkout, ".venv/runtime")
    assert lines[lines.index("--prefix") + 1] == str(checkout / ".venv")
    assert {"pip", "--no-user", "--require-hashes", "requirements/runtime.txt"} <= set(lines)
