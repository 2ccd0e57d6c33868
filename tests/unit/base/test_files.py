# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import ast
import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands, files, log_tail
from ansible_collections.macos_setup.llm.plugins.module_utils.base.definition import Definition
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import file_set, marker, trees
from ansible_collections.macos_setup.llm.plugins.module_utils.service import rollout
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.config import SupervisorConfig
from support.paths import REPOSITORY

PLUGINS = REPOSITORY / "plugins"


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
    assert {holder.split(" (")[0] for holder in holders} == {str(os.getpid())}
    assert "python" in holders[0]  # the command, too


def test_patience_ends(tmp_path):
    path = str(tmp_path / "lock")
    holder, patience = files.exclusive(path), files.exclusive(path, timeout=0, poll=0.01)
    with holder, pytest.raises(LlamaCppError, match=str(os.getpid())), patience:
        pass


def test_who_says_nothing_waits_for_seconds_and_names_who_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SILENT_SECONDS", 0)
    path = str(tmp_path / "lock")
    with files.exclusive(path), pytest.raises(LlamaCppError) as refused, files.exclusive(path, poll=0.01):
        pass
    assert re.search(rf"{path} is still held by process {os.getpid()} \(\S*python", str(refused.value))


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="only Linux tells who holds a lock")
def test_a_stranger_who_holds_a_lock_is_named(tmp_path):
    """Who had it open before it was closed to others has noted nothing in it."""
    path = tmp_path / "lock"
    path.touch(mode=0o644)
    held = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); f = input()"
    command = [sys.executable, "-c", held, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        stranger.stdout.readline()
        with pytest.raises(LlamaCppError, match=rf"process {stranger.pid} \(.*python.* -c import fcntl"):
            files.exclusive(str(path), timeout=0, poll=0.01).__enter__()
        stranger.communicate(b"\n")


def test_a_lock_is_closed_to_others_and_names_its_process_as_long_as_that_runs(tmp_path):
    path = tmp_path / "lock"
    path.touch(mode=0o644)
    with files.exclusive(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert files.lock_owner(str(path)) == os.getpid()
    path.write_text(f"{os.getpid()} 12")  # another one had the number before
    assert files.lock_owner(str(path)) is None


def foreign(kind, path):
    victim = path.parent / "victim"
    victim.write_text("important")
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "hard link":
        os.link(victim, path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("theirs")
        os.chown(path, NOBODY, NOBODY)
    return victim


NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of somebody else")
FOREIGN = ["link", "hard link", "pipe", pytest.param("somebody else's", marks=AS_ROOT)]


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_file_is_never_written_through_what_somebody_else_put_in_its_place(tmp_path, kind):
    path = tmp_path / "m.gguf.part"
    victim = foreign(kind, path)
    for write in (lambda: files.exclusive(str(path)).__enter__(), lambda: files.open_own(str(path), os.O_WRONLY)):
        with pytest.raises(LlamaCppError, match=f"{path} (is|has|belongs)"):
            write()
    assert victim.read_text() == "important" and files.lock_owner(str(path)) is None


@pytest.fixture
def at_once():
    """Ends a test that is held up."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("held up"))
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


READERS = {
    "read_json": files.read_json,
    "lock_owner": files.lock_owner,
    "the mark": marker.is_ours,
    "the mark of a source": trees.is_source,
    "the end of a log": log_tail.tail,
    "what is rolled out": rollout.text_of,
    "sha256": files.sha256_of,
    "a definition": lambda path: Definition(path).content(),
    "a supervisord.conf": lambda path: SupervisorConfig.read(path, "x"),
    "a file of a set": lambda path: file_set.differences({path: file_set.Wanted(b"")}),
}


@pytest.mark.parametrize("reader", READERS)
def test_nothing_is_held_up_by_a_pipe_in_the_place_of_a_file(tmp_path, at_once, reader):
    os.mkfifo(tmp_path / "pipe")
    try:
        assert not READERS[reader](str(tmp_path / "pipe"))
    except EXPECTED as error:
        assert str(tmp_path / "pipe") in str(error)


def test_no_more_is_read_as_a_whole_than_anything_of_ours_has(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    (tmp_path / "f").write_text("01234567890")
    for read in (files.read_file, rollout.text_of):
        with pytest.raises(OSError, match="more than 10 bytes"):
            read(str(tmp_path / "f"))


def test_the_mode_is_that_of_what_was_written_whatever_has_its_name(tmp_path, monkeypatch):
    """The owner of a directory that several share can put a link in the place of any file in it, at any moment."""
    private = tmp_path / "private"
    private.touch(mode=0o600)
    sync = os.fsync

    def swapped(descriptor):
        sync(descriptor)
        (name,) = [name for name in os.listdir(tmp_path) if name.startswith(".f.")]
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to(private)

    monkeypatch.setattr(files.os, "fsync", swapped)
    files.write_atomically(str(tmp_path / "f"), "x", 0o644)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_link_in_the_place_of_a_new_directory_gives_nothing_its_mode(tmp_path, monkeypatch):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    monkeypatch.setattr(files.os, "mkdir", lambda path, _mode: os.symlink(private, path))
    with pytest.raises(OSError):
        files.make_directories(str(tmp_path / "new"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["link", "writable by all", pytest.param("somebody else's", marks=AS_ROOT)])
def test_a_directory_of_somebody_else_is_not_taken_for_ours(tmp_path, kind):
    path = tmp_path / "llama-cpp-0123"
    files.require_private(str(path))
    path.mkdir(mode=0o700)
    files.require_private(str(path))
    if kind == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "writable by all":
        path.chmod(0o777)
    else:
        os.chown(path, NOBODY, NOBODY)
    with pytest.raises(LlamaCppError, match=f"{path} (is a link|can be written|belongs to)"):
        files.require_private(str(path))


@pytest.fixture(params=[0o000, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_modes_do_not_hang_on_the_umask(tmp_path, umask):
    (tmp_path / "there").mkdir(mode=0o750)
    mode = stat.S_IMODE((tmp_path / "there").stat().st_mode)
    files.make_directories(str(tmp_path / "there" / "a" / "b"), 0o700)
    files.make_directories(str(tmp_path / "there"))
    os.close(files.open_own(str(tmp_path / "file"), os.O_WRONLY))
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("there", "there/a", "there/a/b", "file")]
    assert modes == [mode, 0o755, 0o700, 0o644]
    assert commands.output_of(["/bin/sh", "-c", "umask"]).strip() == "0022"


def test_a_file_under_the_name_of_a_directory_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError):
            files.make_directories(str(path))


def test_no_directory_is_made_in_any_other_way():
    """A mode that is left to the umask is open to everybody where that is 000."""
    sources = [*PLUGINS.rglob("*.py"), *(REPOSITORY / "roles").rglob("llm_tools/**/*.py")]
    assert len(sources) > 100
    found = [
        f"{source.relative_to(REPOSITORY)}:{node.lineno}"
        for source in sources
        if source.name != "files.py"
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("makedirs", "mkdir")
    ]
    assert found == []


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
