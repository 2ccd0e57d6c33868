# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a file that is hashed while it grows knows of itself."""

import errno
import hashlib
import os
import random

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net.hashed_file import SYNC_BYTES, HashedFile

PIECES = [random.Random(length).randbytes(length) for length in (1, 700_000, 0, 3, 2_500_000, 1_000_000)]
CONTENT = b"".join(PIECES)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_what_is_appended_is_there_and_hashed_in_its_order(tmp_path):
    with HashedFile(str(tmp_path / "f")) as file:
        for number, piece in enumerate(PIECES):
            file.append(piece)
            assert file.size == (tmp_path / "f").stat().st_size == sum(map(len, PIECES[: number + 1]))
        assert file.sha256() == sha256(CONTENT)
        file.append(b"more")
        assert file.sha256() == sha256(CONTENT + b"more")
        file.sync()
    assert (tmp_path / "f").read_bytes() == CONTENT + b"more"


def test_what_was_there_is_taken_up_piece_by_piece(tmp_path):
    (tmp_path / "f").write_bytes(CONTENT)
    sizes = []
    with HashedFile(str(tmp_path / "f")) as file:
        assert (file.found(), file.size) == (len(CONTENT), 0)
        file.take_up(lambda: sizes.append(file.size))
        file.append(b"more")
        assert file.sha256() == sha256(CONTENT + b"more")
    assert len(sizes) > 1
    assert sizes[-1] == len(CONTENT)
    assert (tmp_path / "f").read_bytes() == CONTENT + b"more"


def test_cleared_it_begins_again(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    with HashedFile(str(tmp_path / "f")) as file:
        file.clear()
        for piece in PIECES:
            file.append(piece)
        file.clear()
        assert (file.size, file.sha256()) == (0, sha256(b""))
        file.append(b"new")
        assert (file.size, file.sha256()) == (3, sha256(b"new"))
    assert (tmp_path / "f").read_bytes() == b"new"


def test_what_the_disk_failed_at_on_the_way_is_told_at_the_end(tmp_path, monkeypatch):
    def fail(_descriptor):
        monkeypatch.undo()  # once only, as Linux tells it
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with HashedFile(str(tmp_path / "f")) as file:
        file.append(bytes(SYNC_BYTES))
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
