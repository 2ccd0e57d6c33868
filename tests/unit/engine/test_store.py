# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The releases on a host: switched at once, found again, chosen for a rollback, removed when there are too many."""

import json
import os
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store


@pytest.fixture
def engine_dir(tmp_path):
    """Four releases, installed one after the other; the last one is current."""
    for number in range(1, 5):
        directory = tmp_path / "releases" / f"b{number}-aaaa"
        (directory / "bin").mkdir(parents=True)
        stamp = directory / "stamp.json"
        stamp.write_text(json.dumps({"build_info": f"b{number}-aaaa"}))
        os.utime(stamp, (number, number))
    (tmp_path / "releases" / ".b5-aaaa.x1").mkdir()
    store.switch(str(tmp_path), "b4-aaaa")
    return str(tmp_path)


def test_nothing_is_there_at_first(tmp_path):
    assert store.current_release(str(tmp_path)) is None
    assert store.installed(str(tmp_path)) == []


def test_the_switch_is_one_rename(engine_dir):
    assert store.switch(engine_dir, "b1-aaaa") is True
    assert store.switch(engine_dir, "b1-aaaa") is False
    assert os.readlink(os.path.join(engine_dir, "current")) == "releases/b1-aaaa"
    assert sorted(os.listdir(engine_dir)) == ["current", "releases"]


def test_the_last_one_comes_first(engine_dir):
    assert store.installed(engine_dir) == ["b4-aaaa", "b3-aaaa", "b2-aaaa", "b1-aaaa"]
    assert store.stamp_of(engine_dir, "b2-aaaa") == {"build_info": "b2-aaaa"}
    assert store.stamp_of(engine_dir, None) == {}


@pytest.mark.parametrize(
    ("keep", "protected", "left"),
    [
        (9, set(), {"b1", "b2", "b3", "b4"}),
        (3, set(), {"b2", "b3", "b4"}),
        (2, {"b1-aaaa"}, {"b1", "b4"}),
        (1, {"b1-aaaa", None}, {"b1", "b4"}),
        (1, set(), {"b4"}),
    ],
)
def test_the_oldest_go(engine_dir, keep, protected, left):
    gone = store.prune(engine_dir, keep, protected)
    assert {name[:2] for name in store.installed(engine_dir)} == left
    assert {name[:2] for name in gone} == {"b1", "b2", "b3", "b4"} - left


def test_what_an_interrupted_removal_leaves_counts_as_absent(engine_dir):
    os.unlink(os.path.join(engine_dir, "releases", "b1-aaaa", "stamp.json"))
    assert "b1-aaaa" not in store.installed(engine_dir)


@pytest.mark.parametrize(
    ("name", "days", "stays"),
    [
        (".b5-0123456789ab.x1", 2, False),
        (".b5-0123456789ab.x1", 0, True),
        ("b5-0123456789ab", 2, False),
        ("b5-0123456789ab", 0, True),
        (".discarded.x1", 2, False),
        ("of somebody else", 2, True),
    ],
)
def test_what_interruptions_left_goes_when_nobody_can_be_at_work_on_it(engine_dir, name, days, stays):
    left = os.path.join(engine_dir, "releases", name)
    os.makedirs(os.path.join(left, "bin"))
    then = time.time() - days * 24 * 3600 - 60
    os.utime(left, (then, then))
    before = store.installed(engine_dir)
    assert store.prune(engine_dir, len(before), set()) == []
    assert store.installed(engine_dir) == before
    assert os.path.exists(left) == stays


def test_what_the_owner_put_among_them_stays(engine_dir):
    mine = [os.path.join(engine_dir, "releases", *name) for name in (("b1-aaaa", "bin", "mine"), ("notes", "a"))]
    os.mkdir(os.path.dirname(mine[1]))
    for path in mine:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("years of work")
    assert set(store.prune(engine_dir, 1, set())) == {"b1-aaaa", "b2-aaaa", "b3-aaaa"}
    assert all(map(os.path.exists, mine)) and store.installed(engine_dir) == ["b4-aaaa"]
    assert not os.path.exists(os.path.join(engine_dir, "releases", "b2-aaaa"))


def test_the_choice(engine_dir):
    assert store.choose(engine_dir, None, "b3-aaaa") == "b3-aaaa"
    assert store.choose(engine_dir, "b2", "b3-aaaa") == "b2-aaaa"
    assert store.choose(engine_dir, "b1-aaaa", None) == "b1-aaaa"


@pytest.mark.parametrize(
    ("wanted", "previous", "says"),
    [
        (None, None, "No release served before"),
        (None, "b9-gone", "No release"),
        ("b9", None, "b9"),
        ("b", None, "more"),
    ],
)
def test_what_cannot_be_chosen_is_said_with_what_there_is(engine_dir, wanted, previous, says):
    with pytest.raises(LlamaCppError, match=says) as caught:
        store.choose(engine_dir, wanted, previous)
    assert "b4-aaaa (current), b3-aaaa" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "build_info"),
    [
        ("version: 0.5.0-dev (build 12, commit 0c1e570-3f1a)", "b12-0c1e570-3f1a"),
        ("version: 8728 (5e9c63546)", "b8728-5e9c63546"),
        ("hello", None),
    ],
)
def test_what_a_server_says_it_is(tmp_path, text, build_info):
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\necho '{text}' >&2\n")
    server.chmod(0o755)
    assert store.build_info_of(server) == build_info


def test_only_a_release_that_has_passed_the_self_test_is_admitted(engine_dir):
    assert store.admitted(engine_dir, "b2-aaaa") == "b4-aaaa"
    path = os.path.join(engine_dir, "releases", "b2-aaaa", "stamp.json")
    with open(path, "w", encoding="utf-8") as stream:
        json.dump({"build_info": "b2-aaaa", "selftest": {"questions": 3}}, stream)
    assert store.admitted(engine_dir, "b2-aaaa") == "b2-aaaa"
    assert store.admitted(engine_dir, None) == "b4-aaaa"
