# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A launchd job that was changed by a play which was killed, or to something that cannot run: what serves then."""

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import definition as service_definition
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.service.converge import converge
from support.launchd_host import LaunchdHost

pytestmark = pytest.mark.processes


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="launchd ") as directory, LaunchdHost(os.path.realpath(directory)) as host:
        yield host


def test_a_play_killed_after_writing_the_file_is_completed_with_one_restart(host):
    first = host.ensure(content=host.content())
    content = host.content(fingerprint="f" * 64)
    Path(host.path).write_text(content)
    result = host.ensure(content=content)
    assert result["changed"] and result["pid"] != first["pid"] and host.starts() == 2
    assert not host.ensure(content=content)["changed"]


@pytest.mark.parametrize("died_after", ["clear", "commit", "start"])
def test_a_play_killed_anywhere_is_completed_by_the_next(host, died_after):
    host.ensure(content=host.content())
    content = host.content(fingerprint="f" * 64)
    service = host.service()
    service.definition.prepare(content)
    for step in ("clear", "commit", "start"):
        service.definition.commit() if step == "commit" else getattr(service, step)()
        if step == died_after:
            break
    result = host.ensure(content=content)
    assert result["state"]["after"] == "running" and result["changed"] == (died_after != "start")
    assert host.starts() == 2 and Path(host.path).read_text() == content
    assert not service.definition.pending() and not host.ensure(content=content)["changed"]


def test_a_plist_that_cannot_run_gives_way_to_the_previous_one(host):
    good = host.content()
    host.ensure(content=good)
    bad = host.content(launcher=os.path.join(host.root, "service", "missing.sh"))
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=bad)
    text = str(failure.value)
    assert "missing.sh does not exist" in text and "put back and runs again (pid" in text and "78" in text
    assert Path(host.path).read_text() == good and len(host.servers()) == 1
    assert sorted(os.listdir(host.folder)) == [os.path.basename(host.path)]


def test_a_plist_that_launchd_refuses_gives_way_to_the_previous_one(host):
    good = host.content()
    host.ensure(content=good)
    host.fail("bootstrap", 109)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content(fingerprint="f" * 64))
    text = str(failure.value)
    assert "109, Invalid property list" in text and "put back and runs again (pid" in text
    assert Path(host.path).read_text() == good and len(host.servers()) == 1


def test_a_play_killed_over_a_bad_plist_ends_with_the_good_one(host):
    good = host.content()
    host.ensure(content=good)
    bad = host.content(launcher="/no/such/launcher")
    host.service().clear()
    definition = host.service().definition
    definition.prepare(bad)
    definition.commit()
    with pytest.raises(LlamaCppError, match="put back and runs again"):
        host.ensure(content=bad)
    assert Path(host.path).read_text() == good and len(host.servers()) == 1


def test_a_first_plist_that_cannot_run_leaves_nothing_that_launchd_would_retry_for_ever(host):
    host.write_launcher('echo "error: no such model"; exit 1')
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "no such model" in str(failure.value) and "exit code 1" in str(failure.value)
    assert os.listdir(host.folder) == [] and host.run("print", host.target)[0] == 113


def test_a_plist_that_cannot_be_written_leaves_the_old_job_running(host, monkeypatch):
    good = host.content()
    pid = host.ensure(content=good)["pid"]

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(service_definition, "write_atomically", full)
    with pytest.raises(LlamaCppError, match="No space left"):
        host.ensure(content=host.content(fingerprint="f" * 64))
    assert host.servers() == [pid] and Path(host.path).read_text() == good
    assert sorted(os.listdir(host.folder)) == [os.path.basename(host.path)]


def test_a_rename_that_fails_brings_the_old_job_back(host, monkeypatch):
    good = host.content()
    host.ensure(content=good)
    real = os.replace

    def fails_once(source, target):
        monkeypatch.setattr(os, "replace", real)
        raise OSError(5, "Input/output error")

    service = host.service()
    monkeypatch.setattr(service.definition, "prepare", _prepare_then(service, monkeypatch, fails_once))
    with pytest.raises(LlamaCppError, match="runs again"):
        converge(service, "started", host.content(fingerprint="f" * 64))
    assert len(host.servers()) == 1 and Path(host.path).read_text() == good


def _prepare_then(service, monkeypatch, replace):
    prepare = service.definition.prepare

    def prepare_then(content):
        prepare(content)
        monkeypatch.setattr(os, "replace", replace)

    return prepare_then


def test_when_neither_the_new_nor_the_previous_plist_runs_both_are_told(host):
    host.ensure(content=host.content())
    host.write_launcher("exit 4")
    with pytest.raises(LlamaCppError, match="no server is running"):
        host.ensure(content=host.content(fingerprint="f" * 64))


def test_a_server_that_dies_within_the_settle_time_is_a_failure(host):
    host.write_launcher('echo "out of memory"; sleep 0.5; kill -9 $$')
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content(throttle_seconds=60), settle=20)
    assert "signal 9" in str(failure.value) and "out of memory" in str(failure.value)
