# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A log of bounded size: ``log`` is written, ``log.1`` is what was written before it, and so on.

Files are only ever renamed to a name that is free, the highest number first, except that the oldest one gives way
when all are there. So a process that is killed in the middle of a rotation leaves a gap in the numbers and nothing
else, and the next rotation closes it.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat

from .log_lines import now, own_line


def numbered(path, number):
    """The file ``number`` rotations ago: 0 is the log itself."""
    return f"{path}.{number}" if number else path


def rotated_numbers(path):
    """The numbers of the files that were rotated away from ``path``, in ascending order."""
    directory, name = os.path.split(path)
    matches = (re.fullmatch(re.escape(name) + r"\.([1-9]\d*)", entry) for entry in os.listdir(directory or "."))
    return sorted(int(match[1]) for match in matches if match)


class RotatingLog:
    """The log at ``path``, for one writer.

    A log that cannot be written is no reason to stop: lines are counted instead, every write tries again, and the
    first that succeeds says how many are missing, since when, and why.

    :param max_bytes: size of a file, which only a single line that is longer than that exceeds.
    :param keep: how many rotated files there may be, at least 1.
    """

    def __init__(self, path, max_bytes, keep):
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._descriptor = None
        self._size = 0
        self._torn = False  # whether the file ends in the middle of a line
        self._waiting = b""
        self._lost = 0
        self._lost_since = None
        self._problem = None

    def write(self, text):
        """Append ``text``, whole lines of it. Nothing is held back in this process, and nothing is raised."""
        self._waiting = text.encode("utf-8", "backslashreplace")
        try:
            self._open()
            if self._torn:
                self._size += os.write(self._descriptor, b"\n")
            if self._lost:
                self._tell_what_was_lost()
            while self._waiting:
                self._waiting = self._waiting[self._put(self._waiting) :]
        except OSError as error:
            if not self._lost:
                self._lost_since = now()
            self._lost += self._waiting.count(b"\n")
            self._problem = error.strerror

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self):
        """Have the file open that stands under the path now: it may have been rotated, moved, removed, or emptied."""
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            there = None
        if self._descriptor is None or there is None or not os.path.samestat(there, os.fstat(self._descriptor)):
            self.close()
            # 0600: logs may quote what people asked
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | (0 if self._is_own() else os.O_NOFOLLOW)
            self._descriptor = os.open(self._path, flags | os.O_NONBLOCK, 0o600)
            there = os.fstat(self._descriptor)
            if not stat.S_ISREG(there.st_mode):  # a pipe that is not read would hold the writer up
                self.close()
                raise OSError(errno.EEXIST, "it is no file", self._path)
            self._torn = there.st_size > 0 and os.pread(self._descriptor, 1, there.st_size - 1) != b"\n"
        self._size = there.st_size

    def _is_own(self):
        """Whether what stands there is this user's: his link may lead to another disk; no other is followed."""
        try:
            return os.lstat(self._path).st_uid == os.geteuid()
        except FileNotFoundError:
            return False

    def _tell_what_was_lost(self):
        words = f"{self._lost} lines were lost between {self._lost_since} and now: {self._problem}"
        notice = own_line(words).encode()
        while notice:
            notice = notice[self._put(notice) :]
        self._lost = 0

    def _put(self, data):
        """Write the lines at the beginning of ``data`` that fit into one file; returns how many bytes were written."""
        written = os.write(self._descriptor, data[: self._fitting(data)])
        self._size += written
        self._torn = not data[:written].endswith(b"\n")
        return written

    def _fitting(self, data):
        room = max(self._max_bytes - self._size, 0)
        if len(data) <= room:
            return len(data)
        lines = data.rfind(b"\n", 0, room) + 1
        if lines or not self._size:
            return lines or data.find(b"\n") + 1
        self._rotate()
        return self._fitting(data)

    def _rotate(self):
        numbers = rotated_numbers(self._path)
        for number in numbers:
            if number > self._keep:  # fewer are to be kept than once were
                os.unlink(numbered(self._path, number))
        free = next(number for number in itertools.count(1) if number not in numbers)
        for number in range(min(free, self._keep), 0, -1):
            os.replace(numbered(self._path, number - 1), numbered(self._path, number))
        self._open()
