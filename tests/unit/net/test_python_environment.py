# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.net import python_environment
from ansible_collections.macos_setup.llm.plugins.module_utils.net.python_environment import PythonEnvironment
from support import packages
from support.modules import run_module

pytestmark = pytest.mark.processes


@pytest.fixture(params=["with uv", "without uv"])
def environment(request, tmp_path):
    """The module's environment: an index of one wheel, and a search path with uv, or without it and with a pip that is
    configured to install elsewhere."""
    variables = packages.environment(tmp_path / "wheels")
    if request.param == "with uv":
        if not shutil.which("uv"):
            pytest.fail("uv is not in the search path; run the tests with `make check`")
        return variables
    hidden = [
        directory
        for directory in os.environ["PATH"].split(os.pathsep)
        if not os.path.exists(os.path.join(directory, "uv"))
    ]
    home = tmp_path / "home"  # ~/.local/bin is searched too
    home.mkdir()
    elsewhere = {"PIP_USER": "1", **{f"PIP_{name}": str(home / name) for name in ("TARGET", "PREFIX", "ROOT")}}
    return {**variables, **elsewhere, "PATH": os.pathsep.join(hidden), "HOME": str(home)}


def requirements(wheel, digest=None):
    name, version = wheel.name.split("-")[:2]
    return f"{name}=={version} --hash=sha256:{digest or packages.sha256(wheel)}\n"


def run(tmp_path, environment, text, check=False):
    arguments = {"path": str(tmp_path / "an environment"), "requirements": text}
    return run_module("python_environment", arguments, check=check, environment=environment)


def version_in(result):
    code = "import marker; print(marker.VERSION)"
    return subprocess.run([result["python"], "-I", "-c", code], capture_output=True, text=True, check=True).stdout


def test_check_real_check_real_and_a_new_version(tmp_path, environment):
    wheel = packages.make_wheel(tmp_path / "wheels", "marker", "1.0", "VERSION = 1\n")
    text = requirements(wheel)
    assert run(tmp_path, environment, text, check=True)["changed"] is True
    assert not (tmp_path / "an environment").exists()
    before = os.umask(0)
    made = run(tmp_path, environment, text)
    os.umask(before)
    assert made["changed"] is True, made
    assert version_in(made) == "1\n"
    modes = {path: path.lstat().st_mode for path in (tmp_path / "an environment").rglob("*") if not path.is_symlink()}
    assert [path for path, mode in modes.items() if mode & 0o022] == []
    assert run(tmp_path, environment, text, check=True)["changed"] is False
    assert run(tmp_path, environment, text)["changed"] is False
    newer = packages.make_wheel(tmp_path / "wheels", "marker", "2.0", "VERSION = 2\n")
    assert version_in(run(tmp_path, environment, requirements(newer))) == "2\n"


@pytest.fixture
def refused(tmp_path, environment, monkeypatch):
    """Why the environment cannot be made in this process with uv alone."""
    monkeypatch.setattr(python_environment, "_has_venv", lambda: False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def install(text):
        with pytest.raises(LlamaCppError) as caught:
            PythonEnvironment(str(tmp_path / "an environment"), text).install(Progress())
        return str(caught.value)

    return install


@pytest.mark.parametrize("environment", ["with uv"], indirect=True)  # pip is told to want hashes, see below
def test_a_wrong_hash_installs_nothing_and_the_next_run_repairs(tmp_path, environment, refused):
    wheel = packages.make_wheel(tmp_path / "wheels", "marker", "1.0", "VERSION = 1\n")
    assert "package index" in refused(requirements(wheel, digest="0" * 64))
    assert run(tmp_path, environment, requirements(wheel))["changed"] is True


@pytest.mark.parametrize("environment", ["with uv"], indirect=True)
def test_a_package_that_would_have_to_be_built_is_refused(tmp_path, refused):
    """Its hash is right; what builds it, which the index offers too, is pinned by nothing."""
    executed = tmp_path / "executed"
    evil = f"open({str(executed)!r}, 'w').close()\n"
    packages.make_wheel(tmp_path / "wheels", "setuptools", "99.0", evil)
    sdist = packages.make_sdist(tmp_path / "wheels", "marker", "1.0", {"setup.py": evil})
    assert refused(f"marker==1.0 --hash=sha256:{packages.sha256(sdist)}\n")
    assert not executed.exists()


@pytest.mark.parametrize("environment", ["with uv"], indirect=True)
def test_what_cannot_be_imported_was_not_installed(tmp_path, refused):
    wheel = packages.make_wheel(tmp_path / "wheels", "marker", "1.0", "import what_is_missing\n")
    assert "what_is_missing" in refused(requirements(wheel))


@pytest.fixture
def installers(tmp_path, monkeypatch):
    """Stands for uv and pip: notes the commands, and has each fail for which ``fails`` is true."""
    notes = SimpleNamespace(commands=[], fails=lambda _command: False)
    monkeypatch.setattr(commands, "output_of", lambda *_arguments: "")

    def check(command, what, **_more):
        (tmp_path / "venv").mkdir(exist_ok=True)
        notes.commands.append(command)
        if notes.fails(command):
            raise LlamaCppError(f"{what}: {command[0]} failed.")

    monkeypatch.setattr(commands, "check", check)
    return notes


def made(tmp_path, uv, text="marker==1.0\nelsewhere==1.0 ; sys_platform == 'win32'\n"):
    PythonEnvironment(str(tmp_path / "venv"), text, uv=uv).install(Progress())


@pytest.mark.parametrize("uv", ["/usr/bin/uv", None])
def test_whatever_installs_takes_wheels_only(tmp_path, monkeypatch, installers, uv):
    monkeypatch.setattr(commands, "find", lambda _name, _first=(): uv)
    made(tmp_path, None)
    environment, installed, proof = installers.commands
    python = str(tmp_path / "venv" / "bin" / "python")
    assert environment[-1] == str(tmp_path / "venv")
    assert installed[0] == (uv or python)
    assert installed[-5:-2] == ["--only-binary", ":all:", "--require-hashes"]
    assert (proof[0], proof[-1]) == (python, "marker")


def test_pip_installs_where_uv_fails(tmp_path, installers):
    installers.fails = lambda command: command[0] == "/usr/bin/uv"
    made(tmp_path, "/usr/bin/uv")
    assert [command[0] for command in installers.commands][-2:] == [str(tmp_path / "venv" / "bin" / "python")] * 2


def test_pip_installs_where_uv_reports_success_and_nothing_can_be_imported(tmp_path, installers):
    installers.fails = lambda command: python_environment.PROOF in command and len(installers.commands) == 3
    made(tmp_path, "/usr/bin/uv")
    assert len(installers.commands) == 6


def test_both_failures_are_told(tmp_path, installers):
    installers.fails = lambda command: "install" in command
    with pytest.raises(LlamaCppError, match=r"(?s)/usr/bin/uv failed.*bin/python failed.*package index"):
        made(tmp_path, "/usr/bin/uv")


@pytest.mark.parametrize("environment", ["with uv"], indirect=True)  # whatever installs: it is noticed before
def test_an_environment_whose_python_is_gone_is_made_anew(tmp_path, environment):
    wheel = packages.make_wheel(tmp_path / "wheels", "marker", "1.0", "VERSION = 1\n")
    made = run(tmp_path, environment, requirements(wheel))
    os.unlink(made["python"])
    os.symlink("/nowhere/python", made["python"])
    mine = tmp_path / "an environment" / "bin" / "mine"
    mine.write_text("years of work")
    for check in (True, False):  # not without what its owner put there
        refused = run(tmp_path, environment, requirements(wheel), check=check)
        assert refused["failed"] and str(mine) in refused["msg"] and mine.exists()
    mine.unlink()
    again = run(tmp_path, environment, requirements(wheel))
    assert again["changed"] is True
    assert version_in(again) == "1\n"
