# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A fault of the system is told with the remedy for its cause, whatever was being done."""

import errno
import os
import shutil

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import definition
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import REMEDIES, LlamaCppError, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.file_set import Wanted, apply, differences
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from support.modules import run_module


def fault(number, path=None):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "check it"),
        (errno.EACCES, "become"),
        (errno.EPERM, "become"),
        (errno.EISDIR, "move it away"),
        (errno.EMFILE, "ulimit"),
    ],
)
def test_the_cause_decides_the_remedy(number, remedy):
    told = in_words(fault(number, "/a/b"), "cannot be written", "/a")
    assert told.startswith("/a/b cannot be written: %s. " % os.strerror(number)) and remedy in told
    assert ("become" in told) == (number in (errno.EACCES, errno.EPERM))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (LlamaCppError("Said already."), "Said already."),
        (fault(errno.ENOSPC), "/a: No space left on device. " + REMEDIES[errno.ENOSPC]),
        (fault(errno.EINTR), "/a: Interrupted system call."),
        (OSError("only words"), "/a: only words."),
        (shutil.Error([("a", "b", "why")]), "/a: [('a', 'b', 'why')]."),
    ],
)
def test_whatever_the_error_knows_of_itself(error, told):
    assert in_words(error, path="/a") == told


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_not_answered_with_advice_about_rights(tmp_path, monkeypatch, number):
    def full(path, *_, **__):
        raise fault(number, path)

    for module in ("base.definition", "ownership.file_set", "ownership.manifest", "base.files"):
        target = "ansible_collections.macos_setup.llm.plugins.module_utils.%s.write_atomically" % module
        monkeypatch.setattr(target, full, raising=False)
    attempts = (
        lambda: definition.Definition(str(tmp_path / "a.plist")).prepare("content"),
        lambda: apply(differences({str(tmp_path / "b"): Wanted(b"content")})),
        lambda: Manifest(str(tmp_path / "manifest.json")).note({str(tmp_path / "c"): "file"}),
    )
    for attempt in attempts:
        with pytest.raises(LlamaCppError) as caught:
            attempt()
        assert REMEDIES[number] in str(caught.value) and "become" not in str(caught.value)


@pytest.mark.processes
def test_a_module_tells_what_nobody_expected_there_without_a_traceback(tmp_path):
    (tmp_path / "in the way").touch()
    wanted = {"path": str(tmp_path / "in the way" / "venv"), "requirements": ""}
    result = run_module("python_environment", wanted)
    assert result["failed"] and REMEDIES[errno.ENOTDIR] in result["msg"], result
