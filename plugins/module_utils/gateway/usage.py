# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Who used how much: sums over the access log of a gateway, which has a JSON object for each request.

docs/gateway.md describes its fields. Memory is bounded by the number of groups, however long the log is.
"""

from __future__ import annotations

import collections
import json
import math
import time

#: What sums can be grouped by.
GROUPS = ("client", "model", "host", "day")

#: Clients and hosts are few; a client that asks for models that do not exist can name any number.
MOST_GROUPS = 10_000
OTHERS = "(others)"

#: HAProxy's name for no host.
NO_HOST = "<NOSRV>"

PERCENTILES = (50, 95, 99)

#: No line of the log is as long; of other bytes no more is held.
LONGEST_LINE = 64 * 1024

#: A line that does not begin so is HAProxy's own, about itself and the hosts.
BEGINNING = b'{"time":'


class Sums:
    """What the requests of one group add up to.

    :ivar requests: how many there were.
    :ivar errors: those that were refused, failed, or whose host died during the answer.
    :ivar left: those whose client did not wait for the end.
    :ivar uncounted: answers of a host whose tokens the log does not tell.
    :ivar prompt_tokens, completion_tokens: of all others.
    """

    def __init__(self):
        self.requests = self.errors = self.left = self.uncounted = self.prompt_tokens = self.completion_tokens = 0
        self._first_bytes = collections.Counter()

    def add(self, entry):
        """Take in a line of the log."""
        answered = 100 <= entry["status"] < 400
        by_host = entry["host"] != NO_HOST
        self.requests += 1
        if entry["ended"].startswith("C"):
            self.left += 1
        elif not answered or entry["ended"][1:2] == "D":
            self.errors += 1
        counts = [entry["prompt_tokens"], entry["completion_tokens"]]
        self.prompt_tokens += counts[0] or 0
        self.completion_tokens += counts[1] or 0
        if answered and by_host:
            self.uncounted += counts == [None, None] and entry["method"] == "POST"
            if entry["first_byte_ms"] >= 0:
                self._first_bytes[_bucket(entry["first_byte_ms"])] += 1

    def first_byte_ms(self, percent):
        """By when so many per cent of the answers had begun, in milliseconds, to 5 %; None without answers."""
        missing = math.ceil(sum(self._first_bytes.values()) * percent / 100)
        for bucket in sorted(self._first_bytes):
            missing -= self._first_bytes[bucket]
            if missing <= 0:
                return _milliseconds(bucket)
        return None

    def facts(self):
        """It as a dict."""
        names = ("requests", "errors", "left", "prompt_tokens", "completion_tokens", "uncounted")
        first = {f"p{percent}": self.first_byte_ms(percent) for percent in PERCENTILES}
        return {**{name: getattr(self, name) for name in names}, "first_byte_ms": first}


class Usage:
    """Sums over the lines of a log that are given to :meth:`feed`.

    :param by: what to group by, some of GROUPS.
    :param since, until: only requests that came at this time or later, and before; seconds since 1970 or None.
    :ivar total: Sums of all.
    :ivar damaged: how many lines were no whole JSON object of a request.
    """

    def __init__(self, by, since=None, until=None):
        self.by = tuple(by)
        self.total, self.damaged = Sums(), 0
        self._since, self._until = since or 0, math.inf if until is None else until
        self._groups = {}

    def feed(self, stream):
        """Take in all lines of ``stream``, a binary file."""
        whole = True
        for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
            if whole and line.startswith(BEGINNING):
                self._take(line)
            whole = line.endswith(b"\n")

    def _take(self, line):
        try:
            entry = _entry(line)
            if self._since <= entry["time"] < self._until:
                self._group(entry).add(entry)
                self.total.add(entry)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self.damaged += 1

    def _group(self, entry):
        key = tuple(_day(entry["time"]) if name == "day" else entry[name] for name in self.by)
        if key not in self._groups and len(self._groups) >= MOST_GROUPS:
            key = (OTHERS,) * len(self.by)
        return self._groups.setdefault(key, Sums())

    def groups(self):
        """List of (dict of what it is grouped by, Sums): days in their order, then the greatest use first."""
        place = self.by.index("day") if "day" in self.by else None

        def order(item):
            key, sums = item
            day = "" if place is None else key[place]
            return day, -sums.prompt_tokens - sums.completion_tokens, -sums.requests, key

        return [(dict(zip(self.by, key)), sums) for key, sums in sorted(self._groups.items(), key=order)]


def _entry(line):
    """The object in ``line``. Raises ValueError, KeyError or TypeError when it is not that of a request."""
    entry = json.loads(line)
    counts = [entry[name] for name in ("prompt_tokens", "completion_tokens")]
    numbers = [
        entry["time"],
        entry["status"],
        entry["first_byte_ms"],
        *(count for count in counts if count is not None),
    ]
    texts = [entry[name] for name in ("client", "model", "host", "method", "ended")]
    if not all(type(number) in (int, float) for number in numbers) or not all(type(text) is str for text in texts):
        raise ValueError
    return entry


def _day(moment):
    return time.strftime("%Y-%m-%d", time.localtime(moment))


def _bucket(milliseconds):
    """Numbers below 20 are told apart, greater ones to a twentieth."""
    return int(milliseconds) if milliseconds < 20 else 20 + int(math.log(milliseconds / 20) / math.log(1.05))


def _milliseconds(bucket):
    return bucket if bucket < 20 else round(20 * 1.05 ** (bucket - 19))
