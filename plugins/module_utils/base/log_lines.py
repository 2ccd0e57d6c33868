# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a program prints, turned into lines of a log that tell when they were printed."""

from __future__ import annotations

import datetime

#: A line that grows longer is broken, so that memory is bounded; the rest begins with CONTINUED.
LINE_BYTES = 64 * 1024
CONTINUED = "… ".encode()


def now():
    """The time as it stands before every line: 2026-11-20T10:30:00.123+01:00."""
    return datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")


def own_line(text):
    """A line that the service runner writes itself, between those of the server."""
    return f"{now()} service_runner: {text}\n"


class LineStamper:
    """Collects bytes as they come from a pipe and gives back whole lines, each behind the time.

    Only a line whose end has not come yet is held back. Bytes that are no UTF-8 are shown as ``\\xff``.

    :param clock: what tells the time, as text.
    """

    def __init__(self, clock=now):
        self._clock = clock
        self._begun = b""

    def feed(self, data):
        """The lines that ``data`` completes, as one text; empty when it completes none."""
        *lines, self._begun = (self._begun + data).split(b"\n")
        while len(self._begun) > LINE_BYTES:
            end = _character_boundary(self._begun, LINE_BYTES)
            lines.append(self._begun[:end])
            self._begun = CONTINUED + self._begun[end:]
        return self._stamped(lines)

    def close(self):
        """The last line, when nothing ended it."""
        lines, self._begun = ([self._begun] if self._begun else []), b""
        return self._stamped(lines)

    def _stamped(self, lines):
        time = self._clock()  # what comes in one piece was printed at one time, as far as anyone can tell
        return "".join(f"{time} {_text(line)}\n" for line in lines)


def _text(line):
    return line.rstrip(b"\r").decode("utf-8", "backslashreplace")


def _character_boundary(data, end):
    """``end``, or up to three bytes before it, so that no UTF-8 character is cut in two."""
    return next((place for place in range(end, end - 4, -1) if data[place] & 0xC0 != 0x80), end)
