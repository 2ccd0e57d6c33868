# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Archives are what their hash says, and nothing of them lands elsewhere."""

import hashlib
import io
import os
import tarfile
import zipfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import archive
from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.progress import Progress
from support.fault_server import FaultServer


def tar(path, members):
    """A tarball of (name, content or a changed TarInfo) pairs."""
    with tarfile.open(path, "w:gz") as made:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b"" if info is content else content
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return str(path)


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def test_the_directory_on_top_is_left_out(tmp_path):
    path = tar(tmp_path / "a.tar.gz", [("llama-b1/CMakeLists.txt", b"x"), ("llama-b1/src/a.cpp", b"y")])
    target = tmp_path / "src" / "tree"
    target.mkdir(parents=True)
    (target / "old").touch()
    archive.unpack(path, str(target))
    assert sorted(str(file.relative_to(target)) for file in target.rglob("*")) == ["CMakeLists.txt", "src", "src/a.cpp"]
    assert os.listdir(target.parent) == ["tree"]


def test_links_inside_and_execution_stay(tmp_path):
    program = tarfile.TarInfo("top/llama-server")
    program.mode = 0o4755
    path = tar(
        tmp_path / "a.tar.gz",
        [("", program), ("top/lib.1.dylib", b"x"), special("top/lib.dylib", tarfile.SYMTYPE, "lib.1.dylib")],
    )
    archive.unpack(path, str(tmp_path / "tree"))
    assert os.stat(tmp_path / "tree" / "llama-server").st_mode & 0o7777 == 0o755
    assert os.readlink(tmp_path / "tree" / "lib.dylib") == "lib.1.dylib"


def test_a_zip_is_unpacked_too(tmp_path):
    info = zipfile.ZipInfo("build/bin/llama-server")
    info.external_attr = 0o755 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(info, "x")
    archive.unpack(str(tmp_path / "a.zip"), str(tmp_path / "tree"))
    assert os.access(tmp_path / "tree" / "bin" / "llama-server", os.X_OK)


@pytest.mark.parametrize(
    "members",
    [
        [("../escaped", b"x")],
        [("/tmp/escaped", b"x")],
        [("top/../../escaped", b"x")],
        [special("top/link", tarfile.SYMTYPE, "../../escaped")],
        [special("top/link", tarfile.SYMTYPE, "/etc/passwd")],
        [special("top/link", tarfile.LNKTYPE, "../escaped")],
        [special("top/pipe", tarfile.FIFOTYPE)],
    ],
)
def test_what_leads_outside_is_refused(tmp_path, members):
    path = tar(tmp_path / "a.tar.gz", members)
    with pytest.raises(LlamaCppError, match="not unpacked"):
        archive.unpack(path, str(tmp_path / "in" / "tree"))
    assert os.listdir(tmp_path / "in") == []
    assert not (tmp_path / "escaped").exists()


def test_what_is_no_archive_is_said(tmp_path):
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(LlamaCppError, match="cannot be unpacked"):
        archive.unpack(str(tmp_path / "page.html"), str(tmp_path / "tree"))


def test_a_local_file_must_be_the_pinned_one(tmp_path):
    file = tmp_path / "a.tar.gz"
    with pytest.raises(LlamaCppError, match="cannot be read"):
        archive.verify(str(file), "0" * 64)
    file.write_bytes(b"x")
    archive.verify(str(file), hashlib.sha256(b"x").hexdigest())
    with pytest.raises(LlamaCppError, match="pinned  sha256 " + "0" * 64):
        archive.verify(str(file), "0" * 64)


def test_a_download_is_verified_and_made_once(tmp_path):
    content = os.urandom(1000)
    sha256 = hashlib.sha256(content).hexdigest()
    with FaultServer() as server:
        server.serve("/a.tar.gz", content)
        for _ in range(2):
            path = archive.obtain(server.url("/a.tar.gz"), sha256, str(tmp_path / "d"), Progress())
        assert len(server.requests_for("/a.tar.gz")) == 1
        with pytest.raises(LlamaCppError, match="not the expected file"):
            archive.obtain(server.url("/a.tar.gz"), "0" * 64, str(tmp_path / "d"), Progress())
    with open(path, "rb") as stream:
        assert stream.read() == content


def test_the_mark_of_a_download_is_taken_away(tmp_path):
    called = tmp_path / "called"
    xattr = tmp_path / "xattr"
    xattr.write_text(f'#!/bin/sh\necho "$*" > {called}\n')
    xattr.chmod(0o755)
    archive.release_from_quarantine(str(tmp_path), str(xattr))
    assert called.read_text() == f"-dr com.apple.quarantine {tmp_path}\n"
    archive.release_from_quarantine(str(tmp_path), str(tmp_path / "no such program"))
