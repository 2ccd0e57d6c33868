# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import os
import shutil
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.net import python_environment
from support import packages
from support.modules import run_module

pytestmark = pytest.mark.processes


@pytest.fixture(params=["with uv", "without uv"])
def environment(request, tmp_path):
    """The module's environment: an index of one wheel, and a search path with or without uv."""
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
    return {**variables, "PATH": os.pathsep.join(hidden), "HOME": str(home)}


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


@pytest.mark.parametrize("environment", ["with uv"], indirect=True)  # pip is told to want hashes, see below
def test_a_wrong_hash_installs_nothing_and_the_next_run_repairs(tmp_path, environment):
    wheel = packages.make_wheel(tmp_path / "wheels", "marker", "1.0", "VERSION = 1\n")
    result = run(tmp_path, environment, requirements(wheel, digest="0" * 64))
    assert result["failed"]
    assert "package index" in result["msg"]
    assert run(tmp_path, environment, requirements(wheel))["changed"] is True


@pytest.mark.parametrize("environment", ["with uv"], indirect=True)
def test_a_package_that_would_have_to_be_built_is_refused(tmp_path, environment):
    """Its hash is right; what builds it, which the index offers too, is pinned by nothing."""
    executed = tmp_path / "executed"
    evil = f"open({str(executed)!r}, 'w').close()\n"
    packages.make_wheel(tmp_path / "wheels", "setuptools", "99.0", evil)
    sdist = packages.make_sdist(tmp_path / "wheels", "marker", "1.0", {"setup.py": evil})
    text = f"marker==1.0 --hash=sha256:{packages.sha256(sdist)}\n"
    assert run(tmp_path, environment, text)["failed"]
    assert not executed.exists()


@pytest.mark.parametrize("uv", ["/usr/bin/uv", None])
def test_whatever_installs_takes_wheels_only(tmp_path, monkeypatch, uv):
    commands_run = []
    monkeypatch.setattr(commands, "find", lambda _name, _first=(): uv)
    monkeypatch.setattr(commands, "output_of", lambda *_arguments: "")

    def check(command, *_rest, **_more):
        (tmp_path / "venv").mkdir(exist_ok=True)
        commands_run.append(command)

    monkeypatch.setattr(commands, "check", check)
    python_environment.PythonEnvironment(str(tmp_path / "venv"), "marker==1.0\n").install(Progress())
    made, installed = commands_run
    assert made[-1] == str(tmp_path / "venv")
    assert installed[0] == (uv or str(tmp_path / "venv" / "bin" / "python"))
    assert installed[-5:-2] == ["--only-binary", ":all:", "--require-hashes"]


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
