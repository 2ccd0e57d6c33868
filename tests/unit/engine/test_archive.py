# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Archives are what their hash says, and nothing of them lands elsewhere."""

import hashlib
import io
import os
import tarfile
import zipfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import archive
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


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def sparse(name, size):
    """A file of nothing but a hole: 512 bytes of archive for ``size`` bytes on the disk."""
    info = tarfile.TarInfo(name)
    info.pax_headers = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.size": str(size)}
    info.pax_headers.update({"GNU.sparse.map": f"{size},0", "GNU.sparse.name": name})
    return name, info


REFUSED = {
    "above": [("../escaped", b"x")],
    "absolute": [("/tmp/escaped", b"x")],
    "above, later": [("top/../../escaped", b"x")],
    "a link above": [special("top/link", SYM, "../../escaped")],
    "an absolute link": [special("top/link", SYM, "/etc/passwd")],
    "a hard link above": [special("top/link", HARD, "../escaped")],
    "a pipe": [special("top/pipe", tarfile.FIFOTYPE)],
    "a device": [special("top/null", tarfile.CHRTYPE)],
    # Each of these links leads inside by its words.
    "a link on the way of a link": [
        special("top/here", SYM, "."),
        special("top/here/up", SYM, ".."),
        special("top/here/up/up", SYM, ".."),
        ("top/up/up/escaped", b"x"),
    ],
    "a file below a link": [special("top/link", SYM, "."), ("top/link/escaped", b"x")],
    "a link over what becomes a link": [special("top/a", SYM, "b/.."), special("top/b", SYM, ".")],
    "a link beside the directory on top": [("top/x", b"x"), special("top/link", SYM, "..")],
    "a file in place of a link": [special("top/x", SYM, "y"), ("top/x", b"x")],
    "a file twice": [("top/x", b"x"), ("top/x", b"y")],
    "a file in place of a directory": [("top/x/y", b"x"), ("top/x", b"y")],
    "a hard link to a link": [special("top/a", SYM, "../../escaped"), special("top/b", HARD, "top/a")],
    "a hard link below a link": [special("top/a", SYM, ".."), special("top/b", HARD, "top/a/x")],
    "a file without a name": [("./", b"x"), ("", b"x")],
    "a link as the directory on top": [special("top", SYM, "/etc")],
    # The directory gets another name, so this one is its neighbour's.
    "a link back by the name on top": [("top/x", b"x"), special("top/link", SYM, "../top/x")],
    "a link back by another link": [
        ("top/x", b"x"),
        special("top/here", SYM, "."),
        special("top/a/b/link", SYM, "../../here/../top/x"),
    ],
    "a hole of a petabyte": [sparse("top/hole", 10**15)],
}


@pytest.mark.parametrize("members", REFUSED.values(), ids=REFUSED)
def test_what_leads_outside_is_refused(tmp_path, members):
    path = tar(tmp_path / "a.tar.gz", members)
    with pytest.raises(LlamaCppError, match="not unpacked"):
        archive.unpack(path, str(tmp_path / "in" / "tree"))
    assert os.listdir(tmp_path / "in") == []
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "in"]


def test_a_link_in_a_zip_is_one_and_leads_nowhere_else(tmp_path):
    for target, refused in (("lib.1.dylib", False), ("../../escaped", True)):
        link = zipfile.ZipInfo("top/lib.dylib")
        link.external_attr = 0o120777 << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
            made.writestr("top/lib.1.dylib", "x")
            made.writestr(link, target)
        if refused:
            with pytest.raises(LlamaCppError, match="not unpacked"):
                archive.unpack(str(tmp_path / "a.zip"), str(tmp_path / "tree"))
        else:
            archive.unpack(str(tmp_path / "a.zip"), str(tmp_path / "tree"))
        assert os.readlink(tmp_path / "tree" / "lib.dylib") == "lib.1.dylib"


def test_modes_are_ours_and_times_the_archives(tmp_path):
    """No setuid, nothing that others may write, whatever archive and umask say; a compilation looks at the times."""
    members = [tarfile.TarInfo(name) for name in ("top/dir", "top/dir/program", "top/dir/sub/text")]
    for member, mode in zip(members, (0o1777, 0o6777, 0o2666)):
        member.mode, member.mtime = mode, 1700000000
    members[0].type = tarfile.DIRTYPE
    path = tar(tmp_path / "a.tar.gz", [("", member) for member in members])
    before = os.umask(0)
    try:
        archive.unpack(path, str(tmp_path / "tree"))
    finally:
        os.umask(before)
    found = {str(file.relative_to(tmp_path)): file.stat() for file in (tmp_path / "tree").rglob("*")}
    assert {name: status.st_mode & 0o7777 for name, status in found.items()} == {
        "tree/dir": 0o755,
        "tree/dir/program": 0o755,
        "tree/dir/sub": 0o755,
        "tree/dir/sub/text": 0o644,
    }
    assert os.stat(tmp_path / "tree").st_mode & 0o7777 == 0o755
    assert found["tree/dir/program"].st_mtime == 1700000000


def test_what_is_unpacked_is_what_was_hashed(tmp_path, monkeypatch):
    path = tar(tmp_path / "a.tar.gz", [("top/x", b"good")])
    with open(path, "rb") as stream:
        sha256 = hashlib.sha256(stream.read()).hexdigest()

    def swapped(copy):
        """Another archive comes to stand there once the hash was found right."""
        tar(tmp_path / "a.tar.gz", [("top/x", b"evil")])
        return False

    monkeypatch.setattr(archive.zipfile, "is_zipfile", swapped)
    archive.unpack(path, str(tmp_path / "tree"), sha256)
    assert (tmp_path / "tree" / "x").read_text() == "good"
    with pytest.raises(LlamaCppError, match="not the pinned file"):
        archive.unpack(path, str(tmp_path / "other"), sha256)
    assert not (tmp_path / "other").exists()


def test_a_tree_of_the_archive(tmp_path):
    path = tar(tmp_path / "a.tar.gz", [("top/vendor/tree/x", b"x"), ("top/y", b"y")])
    archive.unpack(path, str(tmp_path / "tree"), tree="vendor/tree")
    assert os.listdir(tmp_path / "tree") == ["x"]
    with pytest.raises(LlamaCppError, match="There is no vendor/other"):
        archive.unpack(path, str(tmp_path / "tree"), tree="vendor/other")


@pytest.mark.parametrize(("link", "target"), [("top/vendor/tree", ""), ("top/vendor", ""), ("top/vendor/tree/x", "/")])
def test_a_tree_is_no_link_to_another_place(tmp_path, link, target):
    (tmp_path / "tree").mkdir()
    path = tar(tmp_path / "a.tar.gz", [("top/y", b"y"), special(link, SYM, f"{tmp_path}/{target}")])
    with pytest.raises(LlamaCppError, match="not unpacked"):
        archive.unpack(path, str(tmp_path / "in" / "tree"), tree="vendor/tree")
    assert os.listdir(tmp_path / "in") == []


def test_links_of_what_is_not_wanted_do_not_matter(tmp_path):
    members = [("top/vendor/tree/x", b"x"), special("top/README", SYM, "../../README")]
    archive.unpack(tar(tmp_path / "a.tar.gz", members), str(tmp_path / "tree"), tree="vendor/tree")
    assert os.listdir(tmp_path / "tree") == ["x"]


def test_an_archive_with_damage_in_it_is_said(tmp_path):
    path = str(tmp_path / "a.tar")
    with tarfile.open(path, "w:xz") as made:
        info = tarfile.TarInfo("top/x")
        info.size = 200_000
        made.addfile(info, io.BytesIO(os.urandom(info.size // 2).hex().encode()))
    with open(path, "r+b") as stream:
        stream.seek(50_000)
        stream.write(b"\xff" * 20_000)
    with pytest.raises(LlamaCppError, match="cannot be unpacked"):
        archive.unpack(path, str(tmp_path / "in" / "tree"))


@pytest.mark.parametrize("kept", [10, 60, 1000])
def test_an_archive_that_is_cut_off_is_said(tmp_path, kept):
    path = tar(tmp_path / "a.tar.gz", [("top/x", os.urandom(2000))])
    with open(path, "rb") as stream:
        content = stream.read()
    (tmp_path / "a.tar.gz").write_bytes(content[:kept])
    with pytest.raises(LlamaCppError, match="cannot be unpacked"):
        archive.unpack(path, str(tmp_path / "in" / "tree"))
    assert os.listdir(tmp_path / "in") == []


def test_a_zip_with_a_name_of_nothing_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("nul", "x")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"nul", b"\0ul"))  # a name ends at its first NUL
    with pytest.raises(LlamaCppError, match="cannot be unpacked"):
        archive.unpack(str(tmp_path / "a.zip"), str(tmp_path / "in" / "tree"))


def test_what_is_no_archive_is_said(tmp_path):
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(LlamaCppError, match="cannot be unpacked"):
        archive.unpack(str(tmp_path / "page.html"), str(tmp_path / "tree"))


def test_a_local_file_must_be_the_pinned_one(tmp_path):
    file = tmp_path / "a.tar.gz"
    with pytest.raises(LlamaCppError, match="cannot be read"):
        archive.verify(str(file), "0" * 64)
    with pytest.raises(LlamaCppError, match="is no file"):
        archive.verify("/dev/zero", "0" * 64)
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
        with open(path, "wb") as stream:
            stream.write(b"what the disk made of it")
        archive.obtain(server.url("/a.tar.gz"), sha256, str(tmp_path / "d"), Progress())
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
