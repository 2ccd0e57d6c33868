# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""pip as a downloader, where a host has one, has none, or has one that is set up for something else."""

import zipfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.net import pip


class Seen(Progress):
    def __init__(self):
        super().__init__()
        self.updates = []

    def update(self, *state, **more):
        self.updates.append((*state, more))


@pytest.fixture
def without_pip(monkeypatch):
    monkeypatch.setattr(pip.commands, "output_of", lambda *_arguments: None)
    monkeypatch.setattr(pip, "_carried_wheels", list)


def test_where_there_is_no_pip_a_pinned_one_is_fetched(tmp_path, monkeypatch, without_pip):
    installed = []
    monkeypatch.setattr(pip.commands, "find", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(pip.PythonEnvironment, "install", lambda made, _progress: installed.append(made))
    monkeypatch.setattr(pip, "PINNED", "pip==1 --hash=sha256:1\n")
    found = pip.Pip(str(tmp_path), Progress())
    assert found.command == [str(tmp_path / "environment" / "bin" / "python"), "-m", "pip"]
    assert [made._requirements for made in installed] == ["pip==1 --hash=sha256:1\n"]
    monkeypatch.setattr(pip.commands, "find", lambda _name: None)
    with pytest.raises(LlamaCppError, match="there is no uv"):
        pip.Pip(str(tmp_path), Progress())


def test_the_one_that_python_carries_is_unpacked(tmp_path, monkeypatch, without_pip):
    wheel = tmp_path / "pip-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pip/__main__.py", "")
    monkeypatch.setattr(pip, "_carried_wheels", lambda: [str(wheel)])
    _python, program = pip.Pip(str(tmp_path), Progress()).command
    assert (Path(program) / "__main__.py").is_file()


@pytest.mark.parametrize(("version", "raw"), [("pip 23.2.1 from", False), ("pip 24.1 from", True)])
def test_it_is_told_what_it_understands_whatever_it_is_set_up_for(tmp_path, monkeypatch, version, raw):
    asked = []

    def check(command, *_words, on_line, environment):
        asked.append((command, environment))
        on_line("Progress 5 of 10")

    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    monkeypatch.setattr(pip.commands, "output_of", lambda *_arguments: version)
    monkeypatch.setattr(pip.commands, "check", check)
    progress = Seen()
    pip.Pip(str(tmp_path), progress).download(["some==1"], str(tmp_path), "what", "remedy", PYTHONPATH="/x")
    ((command, environment),) = asked
    assert ("raw" in command) is raw and "--no-deps" in command
    assert (environment["PIP_REQUIRE_VIRTUALENV"], environment["PYTHONPATH"]) == ("0", "/x")
    assert progress.updates == [("downloading", 5, 10, {"unit": "bytes"})]
