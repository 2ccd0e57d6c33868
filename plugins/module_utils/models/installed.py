# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The place of one model file: what is demanded there, and whether what lies there is it.

A file in place that was verified once is trusted through its stamp: such a look reads no model data.
"""

from __future__ import annotations

import contextlib
import enum
import os
from typing import NamedTuple

from ..base.errors import LlamaCppError
from ..base.files import exclusive, sha256_of
from ..base.progress import byte_counter
from ..macos.privacy import advice, guarded_place, why_unreadable
from . import gguf
from .verification import Stamp


class Found(enum.Enum):
    """What a look at the place of the model showed."""

    RIGHT = "the wanted file, as its stamp proves"
    UNREAD = "a file that has to be read to know"
    FREE = "nothing, or a file of ours that is not the wanted one"


class Demands(NamedTuple):
    """What is demanded of a model file, and of the work on it."""

    name: str  # the model's in the configuration, for messages
    path: str  # absolute
    sha256: str | None = None  # 64 lower-case hex digits
    size: int | None = None  # bytes
    kind: str = "model"  # what it must be, see gguf.require
    part: tuple = (0, 1)  # its number, from 0, among how many files of one model
    require_checksum: bool = False  # refuse a file for which no SHA-256 is known beforehand
    deep_verify: bool = False  # read and hash the file even if its stamp vouches for it
    renew: bool = False  # ask anew what the source has, and let no SHA-256 stay unknown
    check_only: bool = False  # from stamp, size and header alone; no network, nothing written


class ModelPlace:
    """The place that ``demands`` speak of.

    :ivar stamp: the :class:`~.stamps.Stamp` of the file there.
    """

    def __init__(self, demands, progress):
        self._demands, self._progress = demands, progress
        self._path = demands.path
        self.stamp = Stamp(self._path)

    @contextlib.contextmanager
    def locked(self):
        """Keep others from the place while the block runs; the stamp is read again, another may have worked here."""
        self.stamp.make_directory()

        def on_wait(holder):
            self._progress.update("waiting", detail="process %s is working on the same file" % holder)

        with exclusive(self.stamp.lock, on_wait):
            self.stamp = Stamp(self._path)
            yield

    def look(self, origin, sha256, size):
        """What is there, by stamp, size and header, as Found; raises LlamaCppError for a wrong file of the owner."""
        stamp, ours = self.stamp, self.stamp.is_ours()
        if not os.path.lexists(self._path):
            return Found.FREE
        if not os.path.exists(self._path) and not ours:
            raise self.error(
                "%s is a link to %s, which is not there" % (self._path, os.readlink(self._path)),
                "Bring that file back or remove the link, then run the play again.",
            )
        if stamp.holds() and (stamp["sha256"] or not sha256):
            same_content = stamp["sha256"] == sha256 if sha256 else stamp["origin"] == origin or not ours
            if same_content and size in (None, stamp["size"]):
                self._require_head()
                unread = self._demands.deep_verify or (self._demands.renew and not stamp["sha256"])
                return Found.UNREAD if unread else Found.RIGHT
        if ours:
            return Found.FREE
        _info, problem = self.judge(self._path, size, sha256, stamp["sha256"] if stamp.holds() else None)
        if problem:
            raise self.not_ours(problem)
        return Found.UNREAD

    def read(self, origin, sha256, size):
        """Verify the file there and stamp it if it is the wanted one; otherwise as :meth:`look`."""
        stamp, demands = self.stamp, self._demands
        held, stamped = stamp.holds(), stamp["sha256"]
        needed = sha256 or stamped or demands.deep_verify or demands.renew
        actual = self._hash(self._path) if needed else None
        ours = bool(stamp["placed"]) and (held or actual == stamped)  # the same content: restored from a backup
        info, problem = self.judge(self._path, size, sha256 or (stamped if held else None), actual)
        if problem and not ours:
            raise self.not_ours(problem)
        if problem or (ours and not sha256 and stamp["origin"] != origin):
            return Found.FREE
        stamp.write(sha256=actual, placed=ours, gguf=summary(info))
        return Found.RIGHT

    def verified(self, target, sha256):
        """SHA-256 (None if nobody needs it) and GgufInfo of the owner's file ``target``."""
        demands, place = self._demands, guarded_place(target)
        if not os.path.isfile(target):
            remedy = "Correct models.%s.path." % demands.name if place is None else advice(target, place)
            raise self.error("%s is not there or is no file" % target, remedy)
        why = place and why_unreadable(target)
        if why:
            raise self.error("%s cannot be read: %s" % (target, why), advice(target, place))
        if not demands.check_only and (demands.deep_verify or (demands.sha256 and not sha256)):
            sha256 = self._hash(target)
        info, problem = self.judge(target, demands.size, demands.sha256, sha256)
        if problem:
            raise self.error("%s %s. It was left as it is" % (target, problem))
        return sha256, info

    def judge(self, path, size, sha256, actual):
        """The GgufInfo of a file and what is wrong with it; ``actual`` is its SHA-256, None if it was not read."""
        if size is not None and os.path.getsize(path) != size:
            return None, "has %d bytes; %d are expected" % (os.path.getsize(path), size)
        if sha256 and actual and actual != sha256:
            words = "is not the expected file:\n  expected  sha256 %s\n  found     sha256 %s\n"
            return None, words % (sha256, actual)
        try:
            return self.sound(path), None
        except gguf.GgufError as error:
            return None, error.reason

    def sound(self, path):
        """The GgufInfo of a whole file of the wanted kind; raises GgufError for any other."""
        info = gguf.check(path)
        gguf.require(path, info, self._demands.kind, *self._demands.part)
        return info

    def _require_head(self):
        """The file was proved to be a model, but perhaps before it was to be a reranker."""
        if self._demands.kind == gguf.RERANKER:
            try:
                self.sound(self._path)
            except gguf.GgufError as error:
                raise self.error(str(error)) from error

    def _hash(self, path):
        return sha256_of(path, byte_counter(self._progress, "verifying", os.path.getsize(path)))

    def not_ours(self, problem):
        """The error about a file of the owner in the place, which is not the wanted one."""
        return self.error(
            "%s %s. It was not put there by this collection and was left as it is" % (self._path, problem),
            "If it is not needed, remove it (rm '%s') and run the play again; else give this model "
            "another filename, or correct its sha256 and bytes." % self._path,
        )

    def error(self, what_is_wrong, what_to_do=""):
        return LlamaCppError(("Model %s: %s. %s" % (self._demands.name, what_is_wrong, what_to_do)).rstrip())


def summary(info):
    """What a stamp keeps of a GgufInfo."""
    return {"architecture": info.architecture, "context_length": info.context_length, "parameters": info.parameters}
