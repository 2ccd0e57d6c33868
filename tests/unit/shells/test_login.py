# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The shell of a user tells what it searches, whatever else it says and does when it starts."""

import os
import pwd
import shutil
import time
from types import SimpleNamespace

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.shells import login

pytestmark = pytest.mark.processes

FILES = {"sh": ".profile", "bash": ".bash_profile", "zsh": ".zprofile", "fish": ".config/fish/config.fish"}


@pytest.fixture
def user(tmp_path, monkeypatch):
    """``user(shell, file, text)``: this user, no root, has that shell and that file in the home directory."""

    def make(shell, file=None, text=""):
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell} on this machine")
        account = SimpleNamespace(pw_shell=shutil.which(shell), pw_dir=str(tmp_path), pw_name="sam")
        monkeypatch.setattr(pwd, "getpwuid", lambda _uid: account)
        monkeypatch.setattr(login, "is_root", lambda: False)
        path = tmp_path / (file or FILES[shell])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return make


@pytest.mark.parametrize("shell", FILES)
def test_each_shell_tells_its_path(user, shell, tmp_path):
    text = (
        f"set -gx PATH {tmp_path}/a {tmp_path}/b $PATH"
        if shell == "fish"
        else f'PATH="{tmp_path}/a:{tmp_path}/b:$PATH"'
    )
    user(shell, text=f"echo Welcome\n{text}\n")
    found = login.searched(f"{tmp_path}/b", "/x")
    assert found["path"][:2] == [f"{tmp_path}/a", f"{tmp_path}/b"]
    assert found["shell"] == shutil.which(shell)


def test_what_only_a_terminal_reads_counts(user, tmp_path):
    user("zsh", ".zshrc", f"fpath=({tmp_path}/functions $fpath)\npath=({tmp_path}/bin $path)\n")
    found = login.searched(f"{tmp_path}/bin", f"{tmp_path}/functions")
    assert f"{tmp_path}/bin" in found["path"] and f"{tmp_path}/functions" in found["fpath"]


def test_what_a_shell_leaves_in_the_background_is_not_waited_for(user):
    user("sh", text="sleep 20 &\n")
    started = time.monotonic()
    assert login.searched("/bin", "/x")["path"]
    assert time.monotonic() - started < login.SECONDS


def test_a_shell_that_does_not_answer_is_given_up(user, monkeypatch):
    monkeypatch.setattr(login, "SECONDS", 0.2)
    user("sh", text="sleep 20\n")
    assert login.searched("/bin", "/x") is None


@pytest.mark.parametrize("is_root, shell", [(True, "sh"), (False, "false")])
def test_who_is_not_asked(user, monkeypatch, is_root, shell):
    user(shell, ".profile", 'touch "$HOME/was-asked"\n')
    monkeypatch.setattr(login, "is_root", lambda: is_root)
    assert login.searched("/bin", "/x") is None
    assert not os.path.exists(os.path.join(pwd.getpwuid(0).pw_dir, "was-asked"))


def test_a_directory_is_known_under_another_name(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "link").symlink_to("bin")
    assert login.has([str(tmp_path / "link")], f"{tmp_path}/bin/")
    assert not login.has([], "/bin")


@pytest.mark.parametrize(
    "shell, system, file, line",
    [
        ("/bin/zsh", "Darwin", ".zshrc", "export PATH='/a b/bin':\"$PATH\""),
        ("/bin/bash", "Linux", ".bashrc", "export PATH='/a b/bin':\"$PATH\""),
        ("/bin/bash", "Darwin", ".bash_profile", "export PATH='/a b/bin':\"$PATH\""),
        ("/opt/homebrew/bin/fish", "Darwin", ".config/fish/config.fish", "fish_add_path '/a b/bin'"),
        ("/bin/dash", "Linux", ".profile", "export PATH='/a b/bin':\"$PATH\""),
    ],
)
def test_the_line_that_adds_a_directory(tmp_path, shell, system, file, line):
    assert login.path_line(shell, "/a b/bin", str(tmp_path), system) == (str(tmp_path / file), line)


def test_bash_reads_one_of_its_files_only(tmp_path):
    (tmp_path / ".profile").write_text("")
    assert login.path_line("/bin/bash", "/x", str(tmp_path), "Darwin")[0] == str(tmp_path / ".profile")
