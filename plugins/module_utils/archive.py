# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Archives of known content, fetched or local, unpacked so that nothing lands outside of their directory."""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
import tempfile
import zipfile

from . import commands
from .download import Download
from .errors import LlamaCppError
from .files import exclusive, make_directories, sha256_of
from .web import Web

XATTR = "/usr/bin/xattr"
QUARANTINE = "com.apple.quarantine"


def obtain(url, sha256, directory, progress, allow_plain_http=False):
    """Download ``url`` into ``directory`` and return the path; a file that is there already is not fetched again."""
    make_directories(directory)
    path = os.path.join(directory, sha256)
    with exclusive(path + ".lock", on_wait=lambda holder: progress.update(f"waiting for process {holder}")):
        if not os.path.exists(path):
            web = Web(allow_plain_http=allow_plain_http)
            web.accepted(url)
            part = path + ".part"
            Download(part, web, sha256=sha256, progress=progress).run([url])
            os.replace(part, path)
    return path


def verify(path, sha256):
    """Raise LlamaCppError unless the file ``path`` has the hash."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise LlamaCppError(
            f"{path} cannot be read: {error.strerror}. Nothing was changed. "
            "Correct engine.path, then run the play again."
        ) from None
    if found != sha256:
        raise LlamaCppError(
            f"{path} is not the pinned file; it was not unpacked and nothing was changed.\n"
            f"  pinned  sha256 {sha256}\n  found   sha256 {found}\n"
            "Confirm the published checksum, then correct engine.sha256 or the file, and run the play again."
        )


def unpack(path, directory):
    """Make ``directory`` the content of the archive ``path`` (tar or zip), at once, without a single directory on top.

    Raises LlamaCppError for anything that is no archive or would land or point outside of it.
    """
    parent = os.path.dirname(directory)
    make_directories(parent)
    staging = tempfile.mkdtemp(prefix=".unpacking.", dir=parent)
    try:
        content = os.path.join(staging, "content")
        make_directories(content)
        try:
            (_unzip if zipfile.is_zipfile(path) else _untar)(path, content)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise LlamaCppError(f"{path} cannot be unpacked: {error}. Nothing was changed.") from None
        names = os.listdir(content)
        if len(names) == 1 and os.path.isdir(os.path.join(content, names[0])):
            content = os.path.join(content, names[0])
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(content, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def release_from_quarantine(directory, xattr=XATTR):
    """Take the mark "downloaded, ask before the first start" from verified files; only a Mac knows it."""
    if os.path.exists(xattr):
        commands.output_of([xattr, "-dr", QUARANTINE, directory])


def _untar(path, directory):
    with tarfile.open(path) as archive:
        for member in archive:
            _require_inside(path, member.name)
            if member.issym():
                _require_inside(path, posixpath.join(posixpath.dirname(member.name), member.linkname))
            elif member.islnk():
                _require_inside(path, member.linkname)
            elif not (member.isfile() or member.isdir()):
                raise LlamaCppError(f"{path} holds a device, {member.name}, so it was not unpacked.")
            member.mode = 0o755 if member.isdir() or member.mode & stat.S_IXUSR else 0o644
            member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
            archive.extract(member, directory)


def _unzip(path, directory):
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            _require_inside(path, member.filename)
            target = archive.extract(member, directory)
            if not member.is_dir() and member.external_attr >> 16 & stat.S_IXUSR:
                os.chmod(target, 0o755)


def _require_inside(path, name):
    normal = posixpath.normpath(name)
    if posixpath.isabs(name) or normal == ".." or normal.startswith("../"):
        raise LlamaCppError(f"{path} would put something outside of its directory ({name}), so it was not unpacked.")
