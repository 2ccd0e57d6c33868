# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import hashlib
import os
import stat
import subprocess
import sys
import threading

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import files
from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError


def test_write_replaces_in_one_step_with_the_mode(tmp_path):
    path = tmp_path / "key"
    path.write_text("old")
    reader = path.open()
    files.write_atomically(str(path), "new ü", mode=0o600)
    assert reader.read() == "old"
    assert path.read_text(encoding="utf-8") == "new ü"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    with pytest.raises(TypeError):
        files.write_atomically(str(path), object())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_json_round_trip_and_absent_or_broken_files(tmp_path):
    path = tmp_path / "s.json"
    files.write_json_atomically(str(path), {"b": 1, "a": [True]})
    assert files.read_json(str(path)) == {"b": 1, "a": [True]}
    path.write_text("{")
    assert files.read_json(str(path)) is None
    assert files.read_json(str(tmp_path / "none")) is None


def test_sha256(tmp_path):
    path, data = tmp_path / "f", os.urandom(3_000_000)
    path.write_bytes(data)
    seen = []
    assert files.sha256_of(str(path), on_bytes=seen.append) == hashlib.sha256(data).hexdigest()
    assert sum(seen) == len(data)


def test_the_second_one_waits_and_is_told_for_whom(tmp_path):
    path, holders, entered = str(tmp_path / "lock"), [], threading.Event()

    def second():
        with files.exclusive(path, on_wait=holders.append, poll=0.01):
            entered.set()

    with files.exclusive(path):
        thread = threading.Thread(target=second)
        thread.start()
        while not holders:
            thread.join(0.01)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()
    assert set(holders) == {str(os.getpid())}


def test_patience_ends(tmp_path):
    path = str(tmp_path / "lock")
    holder, patience = files.exclusive(path), files.exclusive(path, timeout=0, poll=0.01)
    with holder, pytest.raises(LlamaCppError, match=str(os.getpid())), patience:
        pass


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path):
    path = str(tmp_path / "lock")
    with files.exclusive(path) as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=(lock,)
        )
    with pytest.raises(LlamaCppError), files.exclusive(path, timeout=0, poll=0.01):
        pass
    child.communicate()
    with files.exclusive(path, timeout=5, poll=0.01):
        pass
