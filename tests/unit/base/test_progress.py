# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import json
import os
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import progress
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import (
    MIB,
    Progress,
    WatcherGone,
    describe,
)


def test_nobody_watches():
    Progress(None).update("compiling", 1, 2)


def test_state_is_readable_at_any_time(tmp_path):
    path = tmp_path / "state.json"
    task = Progress(str(path), subject="tiny", interval=0)
    task.update("downloading", 10, 100, unit="bytes")
    assert json.loads(path.read_text())["done"] == 10
    task.update("downloading", 50, 100, unit="bytes")
    state = json.loads(path.read_text())
    assert (state["subject"], state["stage"], state["done"], state["total"]) == ("tiny", "downloading", 50, 100)
    assert [name.name for name in tmp_path.iterdir()] == ["state.json"]


def test_writes_are_spaced_but_a_new_stage_is_told_at_once(tmp_path):
    path = tmp_path / "state.json"
    task = Progress(str(path), interval=3600)
    task.update("a", 1)
    task.update("a", 2)
    assert json.loads(path.read_text())["done"] == 1
    task.update("b", 0)
    assert json.loads(path.read_text())["stage"] == "b"


def lease(path, age):
    lease_path = path + progress.LEASE_SUFFIX
    with open(lease_path, "w"):
        pass
    os.utime(lease_path, (time.time() - age, time.time() - age))


@pytest.mark.parametrize("tell", ["update", "heartbeat"])
def test_it_ends_when_the_watcher_is_gone(tmp_path, tell):
    path = str(tmp_path / "state.json")
    task = Progress(path, interval=0)
    lease(path, age=0)
    task.update("compiling", 1, 2)
    lease(path, age=progress.LEASE_SECONDS + 1)
    for _thread in range(2):  # each of them has to hear of it
        with pytest.raises(WatcherGone):
            task.update("compiling", 2, 2) if tell == "update" else task.heartbeat()


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (
            {"subject": "llama.cpp", "stage": "compiling", "done": 98, "total": 228, "unit": "steps"},
            "llama.cpp: [ 42 %] 98/228 compiling",
        ),
        ({"stage": "configuring", "done": 0, "total": None, "unit": "steps"}, "configuring"),
        (
            {
                "subject": "tiny",
                "stage": "downloading",
                "done": 64 * MIB,
                "total": 640 * MIB,
                "unit": "bytes",
                "rate": 4 * MIB,
            },
            "tiny: [ 10 %] 64.0/640.0 MiB downloading, 4.0 MiB/s, 2 min 24 s left",
        ),
        (
            {"subject": "tiny", "stage": "downloading", "done": 3 * MIB, "total": None, "unit": "bytes"},
            "tiny: 3.0 MiB downloading",
        ),
        ({"stage": "asking", "done": 5, "total": 4, "unit": "steps", "detail": "slow"}, "[100 %] 5/4 asking, slow"),
    ],
)
def test_the_line_for_people(state, line):
    assert describe(state) == line
