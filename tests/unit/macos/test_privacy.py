# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What can be read is read at once, what cannot says why, and what holds its reader up holds up nobody else."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import privacy
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.privacy import (
    advice,
    guarded_place,
    why_unreadable,
)


def test_what_can_be_read(tmp_path):
    (tmp_path / "model & more.gguf").write_bytes(b"GGUF")
    (tmp_path / "empty").touch()
    assert why_unreadable(str(tmp_path / "model & more.gguf")) is None
    assert why_unreadable(str(tmp_path / "empty")) is None


def test_what_is_not_there_or_is_no_file(tmp_path):
    assert why_unreadable(str(tmp_path / "none")) == "No such file or directory"
    assert why_unreadable(str(tmp_path)) == "Is a directory"


def test_what_never_answers_is_given_up(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # to open it is to wait for its other end
    assert why_unreadable(str(tmp_path / "pipe"), 0.5) == "nothing came within 0.5 s"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/Volumes/My Disk/models/a.gguf", "/Volumes/My Disk"),
        ("/Users/sam/Documents/a.gguf", "/Users/sam/Documents"),
        ("/Users/sam/Downloads/x/a.gguf", "/Users/sam/Downloads"),
        ("/Users/sam/Desktop/a.gguf", "/Users/sam/Desktop"),
        ("/Users/sam/Documents2/a.gguf", None),
        ("/Users/sam/llm-workspace/models/a.gguf", None),
        ("/Users/eve/Documents/a.gguf", None),
        ("/opt/Volumes/a.gguf", None),
    ],
)
def test_what_macos_guards(path, place):
    assert guarded_place(path, "/Users/sam", "darwin") == place
    assert guarded_place(path, "/Users/sam", "linux") is None


def test_a_link_is_where_it_leads_to(tmp_path):
    home = tmp_path / "sam"
    (home / "Documents").mkdir(parents=True)
    (home / "Documents" / "a.gguf").touch()
    (home / "link.gguf").symlink_to(home / "Documents" / "a.gguf")
    assert guarded_place(str(home / "link.gguf"), str(home), "darwin") == os.path.realpath(home / "Documents")


def test_advice(monkeypatch):
    assert "ls -lL '/x/a.gguf'" in advice("/x/a.gguf", None)
    assert "/Volumes/Disk is not connected" in advice("/Volumes/Disk/a.gguf", "/Volumes/Disk")
    monkeypatch.setattr(privacy.os.path, "ismount", lambda _path: True)
    assert "Full Disk Access" in advice("/Volumes/Disk/a.gguf", "/Volumes/Disk")
    assert "internal disk" in advice("/Users/sam/Desktop/a.gguf", "/Users/sam/Desktop")
