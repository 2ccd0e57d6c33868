# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A file with a secret in it is for its user alone."""

import os
import shlex

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import private_files
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.private_files import (
    refuse_all_exposed,
    why_exposed,
)

USER = os.geteuid()


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "a key"
    path.write_text("s3cret")
    return path


@pytest.fixture
def owned(monkeypatch):
    """``owned(uid, mode)``: every file looks as if it were that user's."""

    def owned(uid, mode):
        found = os.stat_result((0o100000 | mode, 0, 0, 1, uid, 0, 6, 0, 0, 0))
        monkeypatch.setattr(private_files.os, "stat", lambda path: found)

    return owned


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_what_is_the_users_alone(key, mode):
    key.chmod(mode)
    assert why_exposed(str(key)) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o666])
def test_what_others_can_read_or_write(key, mode):
    key.chmod(mode)
    link = key.with_name("link")
    link.symlink_to(key)
    told = why_exposed(str(link))
    assert "mode 0%o" % mode in told and told.endswith("chmod 600 " + shlex.quote(str(link)))
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("uid", "mode", "told"),
    [
        (USER + 7, 0o600, "belongs to"),
        (USER + 9, 0o640, "belongs to"),
        (0, 0o640, None),
        (0, 0o660, "sudo chmod 640"),
        (0, 0o644, "sudo chmod 640"),
    ],
)
def test_what_belongs_to_somebody_else(owned, uid, mode, told):
    owned(uid, mode)
    why = why_exposed("/key", user=USER + 1)
    assert (told in why) if told else why is None


def test_what_is_not_there_is_for_others_to_tell(tmp_path):
    assert why_exposed(str(tmp_path / "none")) is None
    assert why_exposed(os.devnull) is None


def test_all_of_them_are_told_at_once(key):
    key.chmod(0o644)
    with pytest.raises(LlamaCppError) as caught:
        refuse_all_exposed({"server.api_key": str(key), "server.tls.private_key": str(key)})
    assert str(caught.value).count(str(key)) == 4
    assert "server.tls.private_key: " in str(caught.value) and "Nothing was changed." in str(caught.value)
    key.chmod(0o600)
    refuse_all_exposed({"server.api_key": str(key)})
