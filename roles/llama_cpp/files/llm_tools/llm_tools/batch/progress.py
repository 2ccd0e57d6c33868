# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How far a batch is, in a line on a terminal and in a sentence at its end."""

from __future__ import annotations

import collections
import os
import threading
import time

from ..core.base.progress import duration

#: What the rates are computed from: the last so many seconds, after the first fraction of one.
RECENT_SECONDS, FIRST_SECONDS = 20.0, 0.5
LONGEST_BAR, SHORTEST_BAR = 40, 5


class Tally:
    """Counts lines with their results, ``failed`` of which hold an error, and tokens.

    :param lines: how many have their result from an earlier run.
    """

    def __init__(self, lines=0, failed=0):
        self.lines, self.failed, self.tokens = lines, failed, 0
        self._resumed, self._cut_off = lines, 0
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def count_answer(self, tokens, cut_off):
        """An answer has come, to whichever line."""
        with self._lock:
            self.tokens += tokens
            self._cut_off += cut_off

    def count_lines(self, lines, failed):
        """These were written."""
        self.lines += lines
        self.failed += failed

    def summary(self):
        """What came of it, by name; rates are those of this run."""
        seconds = max(time.monotonic() - self._began, 0.001)
        return {
            "lines": self.lines,
            "failed": self.failed,
            "done_before": self._resumed,
            "cut_off": self._cut_off,
            "tokens": self.tokens,
            "seconds": round(seconds, 3),
            "lines_per_second": round((self.lines - self._resumed) / seconds, 2),
            "tokens_per_second": round(self.tokens / seconds, 2),
        }

    def sentence(self):
        """The same in words."""
        found = self.summary()
        parts = [f"{self.lines} lines, {self.failed} failed"]
        if self._cut_off:
            parts.append(f"{self._cut_off} cut off at their limit of tokens")
        if self._resumed:
            parts.append(f"{self._resumed} done before")
        rates = "{seconds:.1f} s, {lines_per_second:.1f} lines/s, {tokens_per_second:.1f} tokens/s"
        return "; ".join([", ".join(parts), *([rates.format(**found)] if self.lines > self._resumed else [])])


class Display:
    """Shows on the terminal how far it is."""

    def __init__(self, environment, tally, patience, total=None):
        self._environment, self._tally, self._patience, self._total = environment, tally, patience, total
        self._recent = collections.deque([(time.monotonic(), tally.lines, 0)])

    def show(self):
        self._environment.status(self.line(columns_of(self._environment.stderr) - 1))

    def line(self, width):
        """At most ``width`` characters, with a bar if there is room for it."""
        done, total = self._tally.lines, self._total
        parts = [f"{done}/{total} lines" if total else f"{done} lines", *self._rates()]
        if self._tally.failed:
            parts.insert(1, f"{self._tally.failed} failed")
        text = ", ".join(parts)
        if total:
            text = f"{100 * done // total:3d} % {text}"
            room = min(LONGEST_BAR, width - len(text) - 3)
            if room >= SHORTEST_BAR:
                filled = room * done // total
                text = f"[{'#' * filled}{'.' * (room - filled)}] {text}"
        return text[:width]

    def _rates(self):
        """Of late, and how much time is left, in words."""
        if self._patience.trouble:
            return ["waiting for the server"]
        now, done, tokens = time.monotonic(), self._tally.lines, self._tally.tokens
        self._recent.append((now, done, tokens))
        while now - self._recent[0][0] > RECENT_SECONDS:
            self._recent.popleft()
        then, done_then, tokens_then = self._recent[0]
        if now - then < FIRST_SECONDS or done == done_then:
            return []
        rate = (done - done_then) / (now - then)
        left = [f"{duration((self._total - done) / rate)} left"] if self._total else []
        return [f"{rate:.1f} lines/s", f"{(tokens - tokens_then) / (now - then):.0f} tokens/s", *left]


def columns_of(stream):
    """The width of a terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
