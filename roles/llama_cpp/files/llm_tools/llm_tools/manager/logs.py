# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager logs``: the log of the server, which may be rotated or cut short while it is followed."""

from __future__ import annotations

import codecs
import contextlib
import os
import time

from ..core.base.errors import LlamaCppError
from ..core.base.rotating_log import numbered, rotated_numbers
from ..errors import UsageError
from ..exit_codes import ExitCode

SUMMARY = "Show the last lines of the server's log."
EXAMPLES = ("%(prog)s logs", "%(prog)s logs -n 500 | grep ' E '", "%(prog)s logs --follow")

BLOCK_BYTES = 64 * 1024
POLL_SECONDS = 0.2


def add_arguments(parser):
    parser.add_argument(
        "-n", "--lines", metavar="NUMBER", type=int, default=50, help="number of lines to show (default: 50)"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing new lines")


def run(environment, arguments):
    path = environment.section("service").get("log")
    if not path:
        raise UsageError("No service is configured, so there is no log.")
    log = Log(path)
    environment.write(log.last_lines(max(arguments.lines, 0)))
    while arguments.follow:
        text = log.news()
        if text:
            environment.write(text)
        else:
            time.sleep(POLL_SECONDS)
    return ExitCode.SUCCESS


class Log:
    """A log file under a path that may come to name another file."""

    def __init__(self, path):
        self._path = path
        try:
            self._stream = open(path, "rb")  # noqa: SIM115 - it stays open for as long as it is followed
        except OSError as error:
            raise LlamaCppError(f"The log {path} cannot be read: {error.strerror}.") from error
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def last_lines(self, count):
        """The last ``count`` lines as one text, also of files rotated away; what is written later is news."""
        data = _end_of(self._stream, count)
        for number in rotated_numbers(self._path):
            missing = count - data.count(b"\n")
            if missing <= 0:
                break
            with contextlib.suppress(FileNotFoundError), open(numbered(self._path, number), "rb") as stream:
                data = _end_of(stream, missing) + data
        return b"".join(data.splitlines(keepends=True)[-count:] if count else []).decode("utf-8", "replace")

    def news(self):
        """What was written since the last look; empty when nothing was.

        A rotated file (another one under the path) is read to its end before the one begun after it is opened; a file
        that was cut short (newsyslog and copytruncate do that) is read from its beginning.
        """
        rotated = self._is_other_file()
        data = self._stream.read()
        if not data and rotated and self._open_next():
            data = self._stream.read()
        if not data and os.fstat(self._stream.fileno()).st_size < self._stream.tell():
            self._stream.seek(0)
            self._decoder.reset()
            data = self._stream.read()
        return self._decoder.decode(data)

    def _is_other_file(self):
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._stream.fileno()))
        except FileNotFoundError:
            return False  # between the two renames of a rotation

    def _open_next(self):
        """Go on with the file that was begun after this one, which is not the log any more if that was rotated again.

        Its name is the next lower number that there is. A rotation may come in between: then the names are not what
        they were, and the next look will find out. A file that was moved somewhere else is followed by the log.
        """
        place = self._place()
        for number in range(place - 1, -1, -1):
            try:
                stream = open(numbered(self._path, number), "rb")  # noqa: SIM115 - it is followed from here on
            except FileNotFoundError:
                continue
            skipped = (numbered(self._path, between) for between in range(number + 1, place))
            if self._place() != place or any(map(os.path.exists, skipped)):
                stream.close()
                return False
            self._stream.close()
            self._stream = stream
            self._decoder.reset()
            return True
        return False

    def _place(self):
        """The number of this file among the rotated ones; 1, as if it were the last of them, when it is not there."""
        ours = os.fstat(self._stream.fileno())
        for number in range(1, max(rotated_numbers(self._path), default=0) + 2):
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.stat(numbered(self._path, number)), ours):
                    return number
        return 1


def _end_of(stream, count):
    """At least the last ``count`` lines of ``stream``, as bytes, if it has so many; it is left at its end."""
    position = end = stream.seek(0, os.SEEK_END)
    data = b""
    while position and data.count(b"\n") <= count:
        size = min(BLOCK_BYTES, position)
        position -= size
        stream.seek(position)
        data = stream.read(size) + data
    stream.seek(end)
    return data
