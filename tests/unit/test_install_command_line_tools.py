# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The script that installs Apple's tools finds the right label in what softwareupdate prints."""

import os
import subprocess

import pytest
from support.paths import REPOSITORY

SCRIPT = REPOSITORY / "roles" / "llama_cpp" / "files" / "install_command_line_tools.sh"
MARK = "/tmp/.com.apple.dt.CommandLineTools.installondemand.in-progress"

# macOS 10.15 and later; then as until 10.14 (elliotweiser/ansible-osx-command-line-tools#51); a beta is offered first
# (Homebrew/install#206).
NEW = """Software Update Tool

Finding available software
Software Update found the following new or updated software:
* Label: Command Line Tools beta 2 for Xcode-17.0
\tTitle: Command Line Tools beta 2 for Xcode, Version: 17.0, Size: 700000KiB, Recommended: YES,
* Label: Command Line Tools for Xcode-9.4
\tTitle: Command Line Tools for Xcode, Version: 9.4, Size: 700000KiB, Recommended: YES,
* Label: Command Line Tools for Xcode-16.4
\tTitle: Command Line Tools for Xcode, Version: 16.4, Size: 700000KiB, Recommended: YES,
* Label: macOS Tahoe 26.1-25B78
"""
OLD = """Software Update found the following new or updated software:
   * Command Line Tools (macOS High Sierra version 10.13) for Xcode-9.4
\tCommand Line Tools (macOS High Sierra version 10.13) for Xcode (9.4), 187312K [recommended]
"""


def run(tmp_path, listing, status=0):
    """The finished script, with stand-ins for Apple's programs; what was installed is in ``installed``."""
    (tmp_path / "listing").write_text(listing)
    programs = {
        "softwareupdate": f'''if [ "$1" = --list ]; then test -e {MARK} && cat "{tmp_path}/listing"; exit {status}; fi
echo "$2" > "{tmp_path}/installed"''',
        "xcode-select": "echo /Library/Developer/CommandLineTools",
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)


def test_nothing_is_written_where_a_link_under_the_name_of_the_mark_leads(tmp_path):
    os.symlink(tmp_path / "victim", MARK)
    assert run(tmp_path, NEW).returncode == 0
    assert not (tmp_path / "victim").exists() and not os.path.lexists(MARK)


@pytest.mark.parametrize(
    ("listing", "label"),
    [
        (NEW, "Command Line Tools for Xcode-16.4"),
        (OLD, "Command Line Tools (macOS High Sierra version 10.13) for Xcode-9.4"),
    ],
)
def test_the_newest_that_is_no_beta(tmp_path, listing, label):
    done = run(tmp_path, listing)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "installed").read_text() == label + "\n"
    assert not os.path.exists(MARK)


@pytest.mark.parametrize("status", [0, 1])
def test_nothing_on_offer(tmp_path, status):
    done = run(tmp_path, "No new software available.\n", status)
    assert done.returncode == 1
    assert "xcode-select --install" in done.stderr
    assert not (tmp_path / "installed").exists()
    assert not os.path.exists(MARK)


def test_no_link_in_the_place_of_the_mark_is_followed(tmp_path):
    """/tmp is everybody's, and this runs as root."""
    victim = tmp_path / "victim"
    os.symlink(victim, MARK)
    assert run(tmp_path, NEW).returncode == 0
    assert not victim.exists() and not os.path.lexists(MARK)
