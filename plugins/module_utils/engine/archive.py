# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Archives of known content, fetched or local, unpacked so that nothing lands outside of their directory."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib

try:
    from lzma import LZMAError
except ImportError:  # a Python that was built without it unpacks nothing of this kind
    LZMAError = zlib.error

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.files import CHUNK_BYTES, exclusive, make_directories, sha256_of
from ..net.download import Download
from ..net.http import Web
from ..ownership.file_tree import FileTree, printable

XATTR = "/usr/bin/xattr"
QUARANTINE = "com.apple.quarantine"

LONGEST_LINK = 4096

#: What tarfile and zipfile raise for what is no archive, or a damaged one.
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError),
    *(EOFError, OSError, ValueError, OverflowError, RuntimeError, MemoryError, LookupError, struct.error),
)


def obtain(url, sha256, directory, progress, allow_plain_http=False):
    """Download ``url`` into ``directory`` and return the path; the file that is there already is not fetched again."""
    make_directories(directory)
    path = os.path.join(directory, sha256)
    with exclusive(path + ".lock", on_wait=lambda holder: progress.update(f"waiting for process {holder}")):
        if not os.path.exists(path) or sha256_of(path) != sha256:
            web = Web(allow_plain_http=allow_plain_http)
            web.accepted(url)
            part = path + ".part"
            Download(part, web, sha256=sha256, progress=progress).run([url])
            os.replace(part, path)
    return path


def verify(path, sha256, copy=os.devnull):
    """Raise LlamaCppError unless the file ``path`` has the hash; the bytes that were hashed are written to ``copy``."""
    digest = hashlib.sha256()
    if os.path.exists(path) and not os.path.isfile(path):
        raise LlamaCppError(f"{path} is no file. Nothing was changed. Correct engine.path, then run the play again.")
    try:
        with open(path, "rb") as stream, open(copy, "wb") as copied:
            for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
                digest.update(chunk)
                copied.write(chunk)
    except OSError as error:
        raise LlamaCppError(
            f"{path} cannot be read: {error.strerror}. Nothing was changed. "
            "Correct engine.path, then run the play again."
        ) from None
    if digest.hexdigest() != sha256:
        raise LlamaCppError(
            f"{path} is not the pinned file; it was not unpacked and nothing was changed.\n"
            f"  pinned  sha256 {sha256}\n  found   sha256 {digest.hexdigest()}\n"
            "Confirm the published checksum, then correct engine.sha256 or the file, and run the play again."
        )


def unpack(path, directory, sha256=None, tree=""):
    """Make ``directory`` the content of the archive ``path`` (tar or zip), at once, without a single directory on top.

    ``tree`` names what below that is wanted, if not all of it (``vendor/llama.cpp``).

    With ``sha256`` the archive has to have that hash. What is unpacked are the very bytes that were hashed: somebody
    else may be able to write the file. Raises LlamaCppError for that, for anything that is no archive, and for what
    would land or point outside of the directory.
    """
    parent = os.path.dirname(directory)
    make_directories(parent)
    staging = tempfile.mkdtemp(prefix=".unpacking.", dir=parent)
    try:
        content, archive = os.path.join(staging, "content"), path
        make_directories(content)
        if sha256:
            archive = os.path.join(staging, "archive")
            verify(path, sha256, archive)
        files = FileTree(content, path)
        try:
            (_unzip if zipfile.is_zipfile(archive) else _untar)(archive, files)
        except DAMAGE as error:
            raise LlamaCppError(f"{path} cannot be unpacked: {error}. Nothing was changed.") from None
        names = os.listdir(content)
        single = len(names) == 1 and os.path.isdir(os.path.join(content, names[0]))
        inside = os.path.normpath(os.path.join(names[0] if single else "", tree))
        if not os.path.isdir(os.path.join(content, inside)):
            raise LlamaCppError(f"There is no {tree} in {path}. Nothing was changed.")
        files.require_closed(inside)
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(os.path.normpath(os.path.join(content, inside)), directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def release_from_quarantine(directory, xattr=XATTR):
    """Take the mark "downloaded, ask before the first start" from verified files; only a Mac knows it."""
    if os.path.exists(xattr):
        commands.output_of([xattr, "-dr", QUARANTINE, directory])


def _untar(path, tree):
    with tarfile.open(path) as archive:
        for member in archive:
            if member.size < 0 or member.issparse():  # a few bytes of an archive that fill the disk
                raise tree.refused(f"holds {printable(member.name)} with an impossible size")
            if member.isdir():
                tree.directory(member.name)
            elif member.issym():
                tree.symbolic_link(member.name, member.linkname)
            elif member.islnk():
                tree.hard_link(member.name, member.linkname)
            elif member.isfile():
                executable = bool(member.mode & stat.S_IXUSR)
                tree.file(member.name, _chunks(archive.extractfile(member)), executable, member.mtime)
            else:
                raise tree.refused(f"holds a device, {printable(member.name)}")


def _unzip(path, tree):
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                tree.directory(member.filename)
                continue
            with archive.open(member) as stream:
                if stat.S_ISLNK(mode):
                    tree.symbolic_link(member.filename, os.fsdecode(stream.read(LONGEST_LINK)))
                else:
                    tree.file(member.filename, _chunks(stream), bool(mode & stat.S_IXUSR))


def _chunks(stream):
    return iter(lambda: stream.read(CHUNK_BYTES), b"")
