# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Files that are never seen half-written, and locks that tell who waits."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time

from .errors import LlamaCppError

CHUNK_BYTES = 1024 * 1024


def write_atomically(path, content, mode=0o644):
    """Replace ``path`` with ``content`` (bytes, or text): after a crash either the old or the new one stands there."""
    directory = os.path.dirname(path) or "."
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_json_atomically(path, value, mode=0o644):
    """Like :func:`write_atomically`, for a JSON document that people read too."""
    write_atomically(path, json.dumps(value, indent=2, sort_keys=True) + "\n", mode)


def read_json(path):
    """The JSON document in ``path``, or None when there is none or it is not JSON."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None


def sha256_of(path, on_bytes=None):
    """The SHA-256 of a file as 64 hex digits; ``on_bytes(count)`` is called for every chunk read."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
            digest.update(chunk)
            if on_bytes:
                on_bytes(len(chunk))
    return digest.hexdigest()


@contextlib.contextmanager
def exclusive(path, on_wait=None, timeout=6 * 3600, poll=0.5):
    """Hold the lock file ``path`` while the block runs; the kernel drops it with the process.

    Yields the file descriptor of the lock. A child process that inherits it keeps the lock until it ends too.
    ``on_wait(holder)`` is called at every poll while another process (``holder``, its pid as text) has it.
    Raises LlamaCppError when it is still taken after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                if time.monotonic() > deadline:
                    raise LlamaCppError(
                        "%s is still held by process %s after %d s. Wait for that process or stop it, "
                        "then run the play again." % (path, holder, timeout)
                    ) from None
                if on_wait:
                    on_wait(holder)
                time.sleep(poll)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d" % os.getpid(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
