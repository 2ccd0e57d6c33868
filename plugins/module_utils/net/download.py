# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Fetch one large file so that nothing fetched is ever lost or trusted too early.

The bytes go to ``<file>.part`` and through SHA-256 at once. ``<file>.part.json`` notes where they came from, so
that any later run continues behind the last byte. Two versions of a file are never joined: where the SHA-256 is known,
it decides when the file is complete (the ETag of one file may differ between the nodes that serve it), else the server
vouches for it (``If-Range``).
The caller holds the lock, checks the complete part and gives it its final name.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import time
from typing import NamedTuple

from ..base.addresses import shown
from ..base.errors import LlamaCppError, in_words
from ..base.files import read_json, why_not_own, write_json_atomically
from ..base.progress import Progress
from ..base.strict_json import told
from ..base.units import MIB
from .disk_space import DiskReservation
from .hashed_file import HashedFile
from .header_values import whole_number
from .http import ConnectionBroken, HttpStatus, WebError, host_of
from .retry import ATTEMPTS, Retry

READ_BYTES = int(MIB)  # at most; what is there is taken at once
#: The room for a file of unknown size is looked at whenever so much of it has come, and as much stays free.
UNTOLD = 256 * MIB
STALL_SECONDS = 30.0
STALL_RATE = 1024.0  # bytes per second; slower for STALL_SECONDS counts as stalled
NOTE_FORM = {"url": str, "validator": str, "size": int, "sha256": str}
REAL_PROGRESS = int(MIB)  # so many new bytes earn a source its full number of attempts again
ATTEMPTS_WITH_OTHERS_LEFT = 2

#: Values of Content-Encoding that leave a file as it is. Object stores repeat the last one from the upload.
PLAIN = {"", "identity", "aws-chunked"}

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-[0-9]+/([0-9]+|\*)")


class DownloadFailed(LlamaCppError):
    """No source could give the file: ``reasons`` says what each of them did, the whole text also what is kept."""

    def __init__(self, reasons, kept):
        super().__init__("the download failed.\n%s\n%s" % (reasons, kept))
        self.reasons = reasons


class WrongContent(WebError):
    """The source has another file than the one expected."""


class NoRoom(WebError):
    """What the source sends finds no room, as far as it tells how much that is."""


class Fetched(NamedTuple):
    """A complete part file."""

    size: int
    sha256: str
    url: str  # the source that completed it
    transferred: int  # bytes that came over the network in this run


def note(part, url, validator=None, size=None, sha256=None):
    """Note next to ``part`` where its bytes come from, and what the file is to be as far as that is known."""
    noted = {"url": url, "validator": validator, "size": size, "sha256": sha256}
    write_json_atomically(part + ".json", noted)
    return noted


class Download:
    """Brings ``part`` to its full length from one of several sources.

    :param part: path of the part file; its directory exists.
    :param web: a :class:`~.web.Web`.
    :param sha256: 64 hex digits expected, or None when they are not known.
    :param size: bytes expected, or None.
    :param reservation: the :class:`~.disk_space.DiskReservation` that it shares with others.
    :param stall_seconds: this long at less than 1 KiB/s is a stalled connection.
    :param sleep: see :class:`~.retry.Retry`.
    """

    def __init__(
        self,
        part,
        web,
        *,
        sha256=None,
        size=None,
        progress=None,
        reservation=None,
        stall_seconds=STALL_SECONDS,
        sleep=time.sleep,
    ):
        self._part, self._note_path = part, part + ".json"
        self._web = web
        self._sha256, self._size = sha256, size
        self._progress = progress or Progress()
        self._reservation = reservation or DiskReservation()
        self._stall_seconds = stall_seconds
        self._sleep = sleep
        self._transferred = 0
        self._file = None  # the part, once it is open
        self._rewarded = 0  # its length when a source last earned its attempts again
        self._joined = False  # whether it is made of pieces that no server vouched to be of one file

    def run(self, urls, others_left=False):
        """Try ``urls`` in their order, and the last one longer unless the caller has others left.

        Raises DownloadFailed, or LlamaCppError when this machine is to blame.
        """
        failures = []
        try:
            with HashedFile(self._part) as self._file:
                self._take_up()
                for url in urls:
                    last = url == urls[-1] and not others_left
                    attempts = ATTEMPTS if last else ATTEMPTS_WITH_OTHERS_LEFT
                    try:
                        return self._from(url, Retry(attempts, self._progress, self._sleep))
                    except WebError as error:
                        failures.append("  " + str(error))
        except OSError as error:
            words = in_words(error, "cannot be written", self._part)
            raise LlamaCppError("%s %d bytes are kept in %s." % (words, self._have, self._part)) from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                if self._file and not os.path.getsize(self._part):
                    self.discard()
        kept = "No bytes are kept. Run the play again."
        if self._have:
            kept = "%d bytes are kept in %s. Run the play again to continue there." % (self._have, self._part)
        raise DownloadFailed("\n".join(failures), kept)

    def discard(self):
        """Remove the part and its note."""
        for path in (self._part, self._note_path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    # ---- the part file

    @property
    def _have(self):
        """How many bytes of the file are in the part."""
        return self._file.size if self._file else 0

    def _take_up(self):
        """Continue an earlier part if it belongs to the file that is wanted now."""
        self._note = None if why_not_own(self._note_path) else read_json(self._note_path, NOTE_FORM)
        length = self._file.found()
        if self._note is None or self._belongs_to_another() or length > (self._total() or length):
            self._restart()
            return
        self._file.take_up(lambda: self._progress.update("checking the part already here", self._have, length, "bytes"))
        self._rewarded = self._have
        self._joined = self._have > 0  # a crash of the machine may have damaged it

    def _belongs_to_another(self):
        pairs = ((self._sha256, self._note.get("sha256")), (self._size, self._note.get("size")))
        return any(wanted and noted and wanted != noted for wanted, noted in pairs)

    def _total(self):
        return self._size or (self._note or {}).get("size")

    def _restart(self):
        self._file.clear()
        self._joined, self._note = False, None

    def _append(self, chunk):
        self._file.append(chunk)
        self._transferred += len(chunk)

    # ---- one source

    def _from(self, url, retry):
        started_over = False
        while True:
            try:
                if not self._have or self._have != self._total() or not self._may_continue(url):
                    self._request(url)
            except WebError as error:
                if self._have >= self._rewarded + REAL_PROGRESS:
                    self._rewarded = self._have
                    retry.reset()
                retry.after(error)
                continue
            sha256 = self._file.sha256()
            if self._sha256 in (None, sha256):
                self._file.sync()
                return Fetched(self._have, sha256, shown(url), self._transferred)
            size, joined = self._have, self._joined
            self._restart()
            if not joined or started_over:  # else the earlier piece may be to blame: once more, in one piece
                raise WrongContent(
                    "%s sent all %d bytes, but not the expected file; they were thrown away.\n"
                    "    expected  sha256 %s\n    received  sha256 %s" % (host_of(url), size, self._sha256, sha256)
                )
            started_over = True

    def _may_continue(self, url):
        return bool(self._note) and (bool(self._sha256) or self._validator_for(url) is not None)

    def _validator_for(self, url):
        return self._note.get("validator") if self._note.get("url") == shown(url) else None

    def _request(self, url):
        headers = {}
        if self._have and not self._may_continue(url):
            self._restart()
        if self._have:
            headers["Range"] = "bytes=%d-" % self._have
            if not self._sha256:
                headers["If-Range"] = self._validator_for(url)
        try:
            response = self._web.open(url, headers)
        except HttpStatus as error:
            if error.status != 416 or not self._have:
                raise
            self._restart()
            raise ConnectionBroken(url, "it no longer has the file that was begun") from error
        with response:
            total = self._begin(url, response)
            self._require_room(url, total)
            self._copy(url, response, total)

    def _require_room(self, url, size, keep=True):
        """See that ``size`` bytes find room; one that only this source tells may be wrong, and another source right."""
        try:
            if size:
                self._reservation.reserve(self._part, size)
        except LlamaCppError as error:
            if self._size:
                raise
            if not keep:
                self._restart()
            raise NoRoom("%s: %s" % (host_of(url), error)) from error

    def _begin(self, url, response):
        """Match the answer with what is here; the size of the whole file, or None when the server keeps it."""
        codings = {coding.strip().lower() for coding in response.headers.get("Content-Encoding", "").split(",")}
        if codings - PLAIN:
            encoding = told(", ".join(sorted(codings - PLAIN)))
            raise WrongContent(
                "%s sent the file in the encoding %s, which was not asked for." % (host_of(url), encoding)
            )
        validator = _validator(response.headers)
        total = whole_number(response.headers.get("Content-Length"))
        if response.status == 206 and self._have:
            span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range") or "")
            total = whole_number(span.group(2)) if span else None
            noted = self._validator_for(url)
            vouched = noted is not None and validator == noted
            changed = not self._sha256 and None not in (noted, validator) and not vouched
            self._joined = self._joined or not vouched
            if changed or not span or int(span.group(1)) != self._have or total not in (None, self._total() or total):
                self._restart()
                raise ConnectionBroken(url, "it sent a piece that does not belong to the part already here")
        elif response.status == 200:
            self._restart()
        else:
            raise ConnectionBroken(url, "it answered HTTP %d to a request for the whole file" % response.status)
        if None not in (self._size, total) and total != self._size:
            raise WrongContent("%s has a file of %d bytes; %d are expected." % (host_of(url), total, self._size))
        total = total or self._total()
        self._note = note(self._part, shown(url), validator, total, self._sha256)
        return total

    def _copy(self, url, response, total):
        marked_at, marked, checked = time.monotonic(), self._have, self._have
        while True:
            try:
                chunk = response.read1(READ_BYTES)  # what one read from the network gives
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionBroken(url, error) from error
            if not chunk:
                break
            if total is None and self._have >= checked:
                checked = self._have + UNTOLD
                self._require_room(url, checked + UNTOLD, keep=False)
            self._append(chunk)
            self._progress.update("downloading", self._have, total, "bytes", "from " + host_of(url))
            if total is not None and self._have > total:
                self._restart()
                raise WrongContent("%s sent more than the %d bytes of the file." % (host_of(url), total))
            elapsed = time.monotonic() - marked_at
            if elapsed >= self._stall_seconds:
                if self._have - marked < STALL_RATE * elapsed:
                    raise ConnectionBroken(url, "only %d bytes came in %d s" % (self._have - marked, elapsed))
                marked_at, marked = time.monotonic(), self._have
        if total is not None and self._have < total:
            raise ConnectionBroken(url, "it closed the connection after %d of %d bytes" % (self._have, total))


def _validator(headers):
    """What ``If-Range`` may carry: a strong ETag, else the date of last change (RFC 9110, 13.1.5)."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
