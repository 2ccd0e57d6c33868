# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One file of a model: what is wanted in its place, what has to be done for that, and the work itself.

The order of the work is plan(); then, under locked(): expect(), prepare() and place(). Each is given what the one
before returned, so that several files can go through each step together (models/model.py).

What the owner put there is verified and used, but never replaced and never removed. A file in place that was verified
once is trusted through its verification record: a look at it reads no model data.
"""

from __future__ import annotations

import contextlib
import enum
import os
from typing import NamedTuple

from ..base.errors import LlamaCppError, in_words
from ..base.files import exclusive, sha256_of
from ..base.progress import Progress, byte_counter
from ..net.disk_space import DiskReservation
from ..net.download import DownloadFailed
from ..net.http import WebError
from . import gguf, kinds
from .policy import NO_CHECKSUM
from .source import SourceError
from .verification import NOTE_SUFFIX, PART_SUFFIX, UNFINISHED, WHEEL_SUFFIX, VerificationRecord


class Wanted(NamedTuple):
    """What is wanted of a model file, and of the work on it."""

    name: str  # the model's in the configuration, for messages
    dest: str  # absolute path
    sha256: str | None = None  # 64 lower-case hex digits
    bytes: int | None = None
    kind: str = "model"  # what it must be, see kinds.require
    licenses: list | None = None  # of which its header must state one; None: any
    number: int = 0  # which of the files of its model it is, from 0
    count: int = 1  # how many files that are
    require_checksum: bool = False  # refuse a download of which no SHA-256 is known beforehand
    deep_verify: bool = False  # read and hash the file even if its record is valid
    renew: bool = False  # ask anew what the source has, and let no SHA-256 stay unknown


class Found(enum.Enum):
    """What is in the place of the file."""

    VERIFIED = "the wanted file, as its record proves"
    UNVERIFIED = "a file that has to be read to know"
    MISSING = "nothing, or a file of ours that is not the wanted one"


class Action(NamedTuple):
    """What is to be done about a file, for the output of check mode."""

    words: str
    after: dict | None = None  # sha256 and bytes that the place will have; None when nothing changes there


class Prepared(NamedTuple):
    """The wanted file, complete and verified, as prepare() leaves it."""

    path: str  # where it is: in its place already, or where it waits for its name
    facts: dict | None = None  # what is to be recorded of it
    changed: bool = False
    transferred: int = 0  # bytes that came over the network


class FileInstall:
    """The installation of one ``wanted`` file from a ``source`` (models/source.py).

    :param reservation: the :class:`~..net.disk_space.DiskReservation` that it shares with the other files of its model.
    :ivar warnings: what failed without consequence.

    All methods raise LlamaCppError; the file in place is then as it was.
    """

    def __init__(self, wanted, source=None, *, progress=None, reservation=None):
        self.wanted, self._source = wanted, source
        self._origin = source and source.origin
        self._dest, self._part = wanted.dest, wanted.dest + PART_SUFFIX
        self._progress = progress or Progress()
        self._reservation = reservation or DiskReservation()
        self._record = VerificationRecord(self._dest)
        self._before = self._facts()
        self.warnings = []

    # ---- the steps

    def plan(self):
        """What is to be done, as an Action, or None: by record, size and header, without network or model data."""
        with self._explained():
            known = self._source.known(self.wanted)
            self._require_checksum(known.sha256 or self._source.tells_checksum)
            found = self._look(known)
            if found is Found.MISSING:
                after = {"sha256": known.sha256, "bytes": known.size}
                return Action("would " + self._source.forecast(known.size), after)
            if found is Found.UNVERIFIED:
                return Action("would verify the file in place")
            if self.wanted.renew and self._source.tells_checksum:
                return Action(f"would ask {self._source.host} whether it has another one now")
            return None

    @contextlib.contextmanager
    def locked(self):
        """Keep others from the place while the block runs; the record is read again, they may have worked here."""
        self._record.make_directory()

        def on_wait(holder):
            self._progress.update("waiting", detail="process %s is working on the same file" % holder)

        with exclusive(self._record.lock, on_wait):
            self._record = VerificationRecord(self._dest)
            yield

    def expect(self):
        """What the file must be, as Expected, with room reserved for it; None if another run did the work meanwhile."""
        with self._explained():
            if self.plan() is None:
                return None
            expected = self._source.expected(self.wanted, self._progress)
            self._require_checksum(expected.sha256)
            if expected.size and self._look(expected) is Found.MISSING:
                self._reservation.reserve(self._part, expected.size)
            return expected

    def prepare(self, expected):
        """Have the wanted file complete and verified, in its place or as its ``.part``."""
        if expected is None:
            return Prepared(self._dest)
        with self._explained():
            found = self._look(expected)
            if found is Found.UNVERIFIED:
                found = self._read(expected)
            facts = {"origin": self._origin, "revision": expected.revision}
            if found is Found.VERIFIED:
                return Prepared(self._dest, facts if self._record["placed"] else {**facts, "origin": None})
            source = self._source
            fetched = source.fetch(self._part, expected, self._progress, self._reservation, self._warn)
            try:
                info = self._sound(self._part)
            except gguf.GgufError as error:
                self.discard()
                words = "what %s sent (%d bytes) %s. It was thrown away"
                raise self._error(words % (source.sender(fetched), fetched.size, error.reason)) from error
            facts.update(sha256=fetched.sha256, placed=True, gguf=summary(info))
            return Prepared(self._part, facts, True, fetched.transferred)

    def withdraw(self, prepared):
        """Leave the place empty until place(), unless the owner's file is there; ``prepared`` as it is then."""
        with self._explained():
            if prepared.changed:
                remove(self._dest)
            elif self._record.is_ours():
                os.replace(self._dest, self._part)
                return prepared._replace(path=self._part)
            return prepared

    def place(self, prepared):
        """Give what was prepared its name and its record; the result."""
        with self._explained():
            if prepared.path != self._dest:
                remove(self._dest + WHEEL_SUFFIX)
                os.replace(prepared.path, self._dest)
                remove(self._dest + NOTE_SUFFIX)
            if prepared.facts:
                self._record.write(**prepared.facts)
            return self._result(prepared.changed, transferred=prepared.transferred)

    def discard(self):
        """Throw away what was fetched, whole or in part."""
        for suffix in UNFINISHED:
            remove(self._dest + suffix)

    def forecast(self, action):
        """The result in check mode, for what plan() returned."""
        if action is None or action.after is None:
            return self._result(False, words=action.words if action else "")
        return self._result(True, {"dest": self._dest, **action.after}, action.words)

    def absent(self, check_only):
        """Remove the file if this collection put it there, and an unfinished download of it; the result."""
        with self._explained():
            there, begun = os.path.lexists(self._dest), os.path.lexists(self._dest + NOTE_SUFFIX)
            if there and not self._record.is_ours():
                raise self._error(
                    "%s was not put there by this collection, or was changed since, so it was not removed" % self._dest,
                    "To remove it yourself: rm '%s'" % self._dest,
                )
            if (there or begun) and not check_only:
                with self.locked():
                    remove(self._dest)
                    self.discard()
                    self._record.remove()
            return self._result(there or begun, after={})

    # ---- what is in the place

    def _look(self, expected):
        """What is there, by record, size and header, as Found; raises LlamaCppError for a wrong file of the owner."""
        record, ours = self._record, self._record.is_ours()
        if not os.path.lexists(self._dest):
            return Found.MISSING
        if not os.path.exists(self._dest) and not ours:
            raise self._error(
                "%s is a link to %s, which is not there" % (self._dest, os.readlink(self._dest)),
                "Bring that file back or remove the link, then run the play again.",
            )
        if record.holds() and self._is_recorded(expected, ours):
            self._require_purpose()
            unread = self.wanted.deep_verify or (self.wanted.renew and not record["sha256"])
            return Found.UNVERIFIED if unread else Found.VERIFIED
        if ours:
            return Found.MISSING
        _info, problem = self._judge(self._dest, expected.size, expected.sha256, record.valid_sha256)
        if problem:
            raise self._not_ours(problem)
        return Found.UNVERIFIED

    def _is_recorded(self, expected, ours):
        """Whether the record is that of the expected file: the same content or, where that is unknown, origin."""
        record = self._record
        if expected.size not in (None, record["size"]):
            return False
        if expected.sha256:
            return record["sha256"] == expected.sha256
        return record["origin"] == self._origin or not ours

    def _read(self, expected):
        """Verify the file there and record it if it is the wanted one; otherwise as :meth:`_look`."""
        record, recorded = self._record, self._record["sha256"]
        needed = expected.sha256 or recorded or self.wanted.deep_verify or self.wanted.renew
        actual = self._hash(self._dest) if needed else None
        # The same content with another time of change: restored from a backup.
        ours = bool(record["placed"]) and (record.holds() or actual == recorded)
        wanted = expected.sha256 or record.valid_sha256
        info, problem = self._judge(self._dest, expected.size, wanted, actual)
        if problem and not ours:
            raise self._not_ours(problem)
        if problem or (ours and not expected.sha256 and record["origin"] != self._origin):
            return Found.MISSING
        record.write(sha256=actual, placed=ours, gguf=summary(info))
        return Found.VERIFIED

    def _judge(self, path, size, sha256, actual):
        """The GgufInfo of a file and what is wrong with it; ``actual`` is its SHA-256, None if it was not read."""
        if size is not None and os.path.getsize(path) != size:
            return None, "has %d bytes; %d are expected" % (os.path.getsize(path), size)
        if sha256 and actual and actual != sha256:
            words = "is not the expected file:\n  expected  sha256 %s\n  found     sha256 %s\n"
            return None, words % (sha256, actual)
        try:
            return self._sound(path), None
        except gguf.GgufError as error:
            return None, error.reason

    def _sound(self, path):
        """The GgufInfo of a whole file of the wanted kind; raises GgufError for any other."""
        info = gguf.check(path)
        kinds.require(path, info, self.wanted.kind, self.wanted.number, self.wanted.count)
        if self.wanted.licenses is not None and self.wanted.number == 0:
            kinds.require_license(path, info, self.wanted.licenses, self.wanted.name)
        if self.wanted.kind == kinds.CHAT and self.wanted.number == 0 and not info.has_chat_template:
            self._warn(
                "it has no chat template, as base models have none: it continues texts and answers questions badly. "
                'For chat choose the model that was trained for it (often called "instruct"), or set chat-template in '
                "its arguments."
            )
        if info.unknown_types:
            self._warn(
                "it holds tensors of types (id %s) that are newer than this collection; it needs an engine.version "
                "that knows them." % ", ".join(map(str, info.unknown_types))
            )
        return info

    def _require_purpose(self):
        """The file was proved to be a model, but perhaps for another purpose, or when another licence was allowed."""
        if self.wanted.kind in (kinds.RERANKER, kinds.EMBEDDER) or self.wanted.licenses is not None:
            try:
                self._sound(self._dest)
            except gguf.GgufError as error:
                raise self._error(str(error)) from error

    def _hash(self, path):
        return sha256_of(path, byte_counter(self._progress, "verifying", os.path.getsize(path)))

    # ---- telling

    def _require_checksum(self, known):
        if self.wanted.require_checksum and not known:
            raise self._error(NO_CHECKSUM, "Add models.%s.sha256." % self.wanted.name)

    def _error(self, what_is_wrong, what_to_do=""):
        return LlamaCppError(("Model %s: %s. %s" % (self.wanted.name, what_is_wrong, what_to_do)).rstrip())

    def _not_ours(self, problem):
        """The error about a file of the owner in the place, which is not the wanted one."""
        return self._error(
            "%s %s. It was not put there by this collection and was left as it is" % (self._dest, problem),
            "If it is not needed, remove it (rm '%s') and run the play again; else give this model "
            "another filename, or correct its sha256 and bytes." % self._dest,
        )

    @contextlib.contextmanager
    def _explained(self):
        """Let an error that does not name the model name it."""
        try:
            yield
        except (WebError, DownloadFailed, SourceError) as error:
            raise LlamaCppError("Model %s: %s" % (self.wanted.name, error)) from error
        except OSError as error:
            raise LlamaCppError("Model %s: %s" % (self.wanted.name, in_words(error, path=self._dest))) from error

    def _warn(self, words):
        warning = "Model %s: %s" % (self.wanted.name, words)
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _facts(self):
        if not os.path.lexists(self._dest):
            return {}
        size = os.path.getsize(self._dest) if os.path.exists(self._dest) else None
        return {"dest": self._dest, "bytes": size, "sha256": self._record.valid_sha256}

    def _result(self, changed, after=None, words="", transferred=0):
        """What the module returns of a file; None stands for what is not known (yet)."""
        after = self._facts() if after is None else after
        record = self._record
        held = record.holds()
        header = (record["gguf"] if held else None) or {}
        return {
            "name": self.wanted.name,
            "dest": self._dest,
            "changed": changed,
            "bytes": after.get("bytes"),
            "sha256": after.get("sha256"),
            "architecture": header.get("architecture"),
            "context_length": header.get("context_length"),
            "origin": record["origin"] if held else None,
            "revision": record["revision"] if held else None,
            "transferred": transferred,
            "verified": held and not words,
            "msg": words,
            "diff": {"before": self._before, "after": after},
        }


def summary(info):
    """What is recorded of a GgufInfo."""
    return {"architecture": info.architecture, "context_length": info.context_length, "parameters": info.parameters}


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
