# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Each failure of launchd is told with its code, its cause and its remedy."""

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd import diagnosis, job
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.exit_codes import remedy_for
from support.launchd_host import UID, LaunchdHost

pytestmark = pytest.mark.processes

as_root = pytest.mark.skipif(UID != 0, reason="the domain system belongs to root")


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="launchd ") as directory, LaunchdHost(os.path.realpath(directory)) as host:
        yield host


@pytest.mark.parametrize(
    ("code", "words"),
    [(5, "5, Input/output error"), (37, "37, Operation already in progress"), (134, "134, Service cannot load")],
)
def test_a_code_of_bootstrap_is_told_in_launchds_words(host, monkeypatch, code, words):
    monkeypatch.setattr(job, "DRAIN_SECONDS", 0)  # so long are those tried again that may pass: 5, 36, 37
    host.fail("bootstrap", code)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "bootstrap: error %s" % words in str(failure.value)
    assert remedy_for(code, host.target) in str(failure.value)
    assert os.listdir(host.folder) == []


@pytest.mark.parametrize("verb", ["enable", "kickstart", "bootout"])
def test_other_verbs_are_explained_too(host, verb):
    host.ensure(content=host.quiet_content())
    host.fail(verb, 150)
    with pytest.raises(LlamaCppError, match=r"%s: error 150, Operation not permitted while" % verb):
        host.ensure("stopped" if verb == "bootout" else "restarted")


def marked_cause(failure):
    """The words of the cause that the message points at."""
    (cause,) = [part for part in str(failure.value).split("\n")[1].split(" | ") if part.endswith("<- cause")]
    return cause


def test_cause_disabled(host):
    """enable went through, but the override stays: seen when System Settings holds the login item off."""
    host.run("disable", host.target)
    host.fail("enable", *[0] * 3)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "disabled YES" in marked_cause(failure) and "launchctl enable " + host.target in str(failure.value)


def test_cause_open_to_others(host):
    os.makedirs(host.folder)
    Path(host.path).write_text(host.content())
    os.chmod(host.path, 0o666)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure()
    assert "others may write" in marked_cause(failure) and "chmod 0644" in str(failure.value)


@as_root
def test_cause_owner(tmp_path):
    with LaunchdHost(tmp_path, "system") as host:
        os.makedirs(host.folder)
        Path(host.path).write_text(host.content())
        os.chown(host.path, 4711, 0)
        with pytest.raises(LlamaCppError) as failure:
            host.ensure()
        assert "wrong owner" in marked_cause(failure) and "sudo chown root:wheel" in str(failure.value)


def test_cause_no_session_at_the_screen(host):
    host.logout(UID)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "not logged in at the screen" in marked_cause(failure) and "125" in str(failure.value)


def test_cause_label_and_file_name_differ(host):
    os.makedirs(host.folder)
    Path(host.path).write_text(host.content().replace("com.llama.server<", "com.llama.other<"))
    host.fail("bootstrap", 5)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure()
    assert "com.llama.other" in marked_cause(failure)


def test_cause_quarantine(host, tmp_path, monkeypatch):
    """macOS marks downloads with an attribute that only its own tool can read from Python."""
    xattr = tmp_path / "xattr"
    launcher = host.plan["service"]["launcher"]
    xattr.write_text('#!/bin/sh\n[ "$1 $2 $3" = "-p com.apple.quarantine %s" ]\n' % launcher)
    xattr.chmod(0o755)
    monkeypatch.setattr(diagnosis, "XATTR", str(xattr))
    host.write_launcher("kill -9 $$")
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content(throttle_seconds=60))
    assert "xattr -d com.apple.quarantine '%s'" % launcher in str(failure.value)


def test_cause_the_log_cannot_be_written(host):
    host.plan["service"]["output_file"] = os.path.join(host.root, "no", "log")
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "mkdir -p '%s/no'" % host.root in str(failure.value) and "EX_CONFIG" in str(failure.value)


def test_the_cause_that_the_servers_log_names(host):
    log = host.plan["server"]["log_file"]
    host.write_launcher("echo printed by itself; echo 'error: invalid argument: --bogus' >>'%s'; exit 1" % log)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content(throttle_seconds=60))
    told = str(failure.value)
    assert '"--bogus"' in told and "server.arguments" in told and "printed by itself" in told


def test_cause_the_log_is_a_directory(host):
    host.plan["service"]["output_file"] = os.path.join(host.root, "log")
    os.mkdir(host.plan["service"]["output_file"])
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "StandardOutPath: %s/log is a directory" % host.root in str(failure.value)


def test_a_plist_that_is_wrong_is_refused_before_anything_is_touched(host):
    pid = host.ensure(content=host.content())["pid"]
    verbs = host.verbs()
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content().replace("<true/>", "<string>yes</string>").replace("Umask", "UMask"))
    assert all(key in str(failure.value) for key in ("RunAtLoad", "KeepAlive.Crashed", "UMask"))
    assert host.servers() == [pid] and host.verbs() == verbs


def test_cause_not_root(host, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: UID + 1)
    host.fail("enable", 1)
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "uid %d" % (UID + 1) in marked_cause(failure) and "In a play, become that user" in str(failure.value)
