# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A file that grows at its end and knows its SHA-256.

Hashing takes longer than receiving from a fast network, and a disk may take longer still. So each has a thread of its
own beside the caller's: ``hashlib`` and ``os.fsync`` let others run meanwhile.
"""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import os

from ..base.files import open_own

READ_BYTES = 1024 * 1024
HASHED_LATER = 4  # so many pieces at most wait in memory to be hashed
SYNC_BYTES = 64 * 1024 * 1024  # so much is left to the system to write whenever it likes


class HashedFile:
    """The file ``path``, made if it is not there; a context manager.

    ``size`` counts what was appended and what was taken up. :meth:`sync` raises the errors that the disk had before.
    """

    def __init__(self, path):
        # Another user may write where it lies, too: in a directory of models that several share.
        descriptor = open_own(path, os.O_RDWR | os.O_APPEND)
        self._stream = open(descriptor, "ab", buffering=0)  # noqa: SIM115 - __exit__ closes it
        self._hasher = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._syncer = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._start_anew()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for executor in (self._hasher, self._syncer):
            executor.shutdown()
        self._stream.close()

    def _start_anew(self):
        self._digest = hashlib.sha256()
        self._hashing = collections.deque()
        self._synced, self._syncing = 0, None
        self.size = 0

    def found(self):
        """The size of the file, whether it was taken up or not."""
        return os.fstat(self._stream.fileno()).st_size

    def take_up(self, on_piece):
        """Hash what was there before, and go on behind it; ``on_piece()`` is called for every piece."""
        for piece in iter(lambda: os.pread(self._stream.fileno(), READ_BYTES, self.size), b""):
            self._hash(piece)
            self.size += len(piece)
            on_piece()
        self._synced = self.size

    def clear(self):
        self._stream.truncate(0)
        self._start_anew()

    def append(self, piece):
        self._hash(piece)
        view = memoryview(piece)
        while view:  # an unbuffered write may take only some of it
            view = view[self._stream.write(view) :]
        self.size += len(piece)
        if self.size - self._synced >= SYNC_BYTES and (self._syncing is None or self._syncing.done()):
            self._wait_for_disk()
            self._synced, self._syncing = self.size, self._syncer.submit(os.fsync, self._stream.fileno())

    def sha256(self):
        """The SHA-256 of all of it as 64 hex digits."""
        while self._hashing:
            self._hashing.popleft().result()
        return self._digest.hexdigest()

    def sync(self):
        """Have all of it on the disk."""
        self._wait_for_disk()
        os.fsync(self._stream.fileno())

    def _wait_for_disk(self):
        if self._syncing:
            self._syncing.result()

    def _hash(self, piece):
        self._hashing.append(self._hasher.submit(self._digest.update, piece))
        if len(self._hashing) > HASHED_LATER:
            self._hashing.popleft().result()
