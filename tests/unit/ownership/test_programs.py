# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A command of someone else is seen before it is overwritten or hidden, and so is a file that goes with one."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import programs
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY

OURS = f"#!/bin/sh\n# {MANAGED_BY}\n"
THEIRS = "#!/bin/sh\necho theirs\n"


@pytest.fixture
def places(tmp_path):
    """The directory of the commands and another one, as texts."""
    found = [tmp_path / name for name in ("bin", "other")]
    for directory in found:
        directory.mkdir()
    return list(map(str, found))


def put(directory, text):
    path = os.path.join(directory, "llm")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def test_a_free_name(places):
    assert programs.foreign("llm", places[0], places) is None


def test_ours_may_be_replaced(places):
    put(places[0], OURS)
    assert programs.foreign("llm", places[0], places) is None


def test_theirs_in_the_same_place(places):
    path = put(places[0], THEIRS)
    assert programs.foreign("llm", places[0], []) == path


@pytest.mark.parametrize("order", [1, -1], ids=["behind ours", "before ours"])
def test_theirs_elsewhere_in_the_search_path(places, order):
    path = put(places[1], THEIRS)
    assert programs.foreign("llm", places[0], places[::order]) == path


def test_ours_stays_ours_when_theirs_comes_later(places):
    path = put(places[1], THEIRS)
    put(places[0], OURS)
    assert programs.foreign("llm", places[0], places) is None
    assert programs.others("llm", places) == [path]


def test_a_directory_that_nobody_searches_hides_nothing(places):
    put(places[1], THEIRS)
    assert programs.foreign("llm", places[0], places[1:]) is None


def test_a_dangling_link_is_someones_too(places):
    path = os.path.join(places[0], "llm")
    os.symlink("/nowhere/llm", path)
    assert programs.foreign("llm", places[0], places) == path


def test_simonw_llm_is_known_by_its_script(places):
    script = "#!/x/bin/python\nimport sys\nfrom llm.cli import cli\nif __name__ == '__main__':\n    sys.exit(cli())\n"
    assert programs.is_simonw(put(places[0], script))
    assert not programs.is_simonw(put(places[0], THEIRS))
    assert not programs.is_simonw("/nowhere/llm")


# Files that go with a command


def test_a_file_that_may_be_written(tmp_path):
    assert programs.why_left_out(str(tmp_path / "share" / "man" / "llm.1")) is None
    (tmp_path / "llm.1").write_text(OURS)
    assert programs.why_left_out(str(tmp_path / "llm.1")) is None


def test_a_file_of_others_is_left_alone(tmp_path):
    (tmp_path / "llm.1").write_text(THEIRS)
    assert "left alone" in programs.why_left_out(str(tmp_path / "llm.1"))


def test_a_place_that_cannot_be_made_is_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _mode: path != str(tmp_path))
    assert str(tmp_path) in programs.why_left_out(str(tmp_path / "share" / "llm.1"))
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/nowhere")
    for name in ("file", "link"):
        assert str(tmp_path / name) in programs.why_left_out(str(tmp_path / name / "llm.1"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may write everywhere")
def test_root_writes_to_no_directory_of_others(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    assert str(tmp_path) in programs.why_left_out(str(tmp_path / "llm.1"))
