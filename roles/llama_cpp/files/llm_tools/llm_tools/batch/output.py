# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where the results go: to a file, which tells by itself how far an interrupted batch is, or to a stream."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import NamedTuple

from ..core.base.errors import LlamaCppError, in_words
from ..core.base.processes import command, lock_holder
from ..core.base.strict_json import shortened, visible
from ..errors import UsageError
from .results import BEGINNING, FINE

SHOWN_CHARACTERS = 100


class Done(NamedTuple):
    """How many lines have their result, and how many of these failed."""

    lines: int = 0
    failed: int = 0


class OutputFile:
    """The file ``path``, of which this process has the lock.

    :raises LlamaCppError: another process has it.
    :raises OSError: it cannot be opened.
    """

    continuation = "To continue, run the same command again."

    def __init__(self, path):
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._written = False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock_holder(os.fstat(self._descriptor).st_ino)
            os.close(self._descriptor)
            who = f"process {holder} ({command(holder)})" if holder else "another process"
            raise LlamaCppError(f"{path} is being written by {who}. Wait for it, or choose another file.") from None

    def clear(self):
        """Forget all results. Raises UsageError where the file holds anything else."""
        beginning = os.pread(self._descriptor, len(BEGINNING), 0)
        if beginning != BEGINNING[: len(beginning)]:
            raise UsageError(f"{self._path} is not the output of a batch, so it was not touched; choose another file.")
        os.ftruncate(self._descriptor, 0)

    def resume(self, lines):
        """Take as many of ``lines`` as have their result, and remove half a result behind them; returns Done.

        Raises UsageError, and changes nothing, unless each result is that of its line.
        """
        end = done = failed = 0
        with open(self._path, "rb") as stream:
            for found in stream:
                line = next(lines, None)
                if line is None:
                    raise UsageError(
                        f"{self._path} has more lines than {lines.name}, so it is the output of another input; it was "
                        "not touched. Choose another file, or start anew with --restart."
                    )
                beginning = b'{"id": "%s"' % line.id.encode("ascii")
                if not found.startswith(beginning[: len(found)]):
                    raise self._other(lines, line, found)
                if not found.endswith(b"\n"):
                    lines.put_back(line)
                    break
                done, failed, end = done + 1, failed + (not found.endswith(FINE)), end + len(found)
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)
        return Done(done, failed)

    def _other(self, lines, line, found):
        theirs, ours = (_shown(content or b"") for content in (found, line.content))
        number = line.index + 1
        return UsageError(
            f"line {number} of {self._path} is not the result of line {number} of {lines.name} with these options:\n"
            f"  {theirs}\n  {ours}\n"
            "It was not touched. Choose another file, or start anew with --restart."
        )

    def write(self, data):
        """Append ``data``, whole lines. Raises LlamaCppError."""
        self._written = True
        _write_all(self._descriptor, data, self._path)

    def sync(self):
        """Have the disk keep what was written."""
        if self._written:
            self._written = False
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise LlamaCppError(in_words(error, "cannot be written", self._path)) from error

    def close(self):
        os.close(self._descriptor)


class OutputStream:
    """A pipe, a terminal or a device: what was written there cannot be looked at again.

    :param write: takes ``data``, whole lines.
    """

    continuation = "It cannot be continued: that takes an output file (-o FILE)."

    def __init__(self, write):
        self.write = write

    def clear(self):
        """There is nothing to forget."""

    def resume(self, lines):
        return Done()

    def sync(self):
        """Nothing is kept."""

    def close(self):
        """It is not ours."""


def open_output(environment, path, source):
    """The output called ``path``; None or "-" is stdout. It must be another file than ``source``, the input."""
    if path in (None, "-"):
        if not environment.stdout.writable():
            raise UsageError("stdout is closed; name a file for the results: -o FILE")
        if environment.is_terminal(environment.stdout):
            return OutputStream(lambda data: environment.write(data.decode("utf-8")))
        return OutputStream(lambda data: _write_all(environment.stdout.fileno(), data, "stdout"))
    with contextlib.suppress(FileNotFoundError):
        found = os.stat(path)
        if os.path.samestat(found, os.fstat(source.fileno())):
            raise UsageError(f"{path} is the input; choose another file for the results.")
        if not stat.S_ISREG(found.st_mode):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            return OutputStream(lambda data: _write_all(descriptor, data, path))
    return OutputFile(path)


def _write_all(descriptor, data, name):
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:  # its reader has seen enough
        raise
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be written", name)) from error


def _shown(content):
    return shortened(visible(content[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")), SHOWN_CHARACTERS)
