# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How far a long task is: written by the task on its host, shown by the play.

A task owns one :class:`Progress` and calls :meth:`Progress.update` as often as it likes. The state goes to a
small JSON file that a watcher polls; :func:`describe` turns it into the one line that people see.

The watcher in turn keeps a *lease*: it touches ``<file>.lease`` whenever it looks. When the lease goes stale,
the watcher is gone (Ctrl-C, a closed lid, a dead network), and the task ends at its next update instead of
working on unseen. Everything done so far stays, so the next run continues there.
"""

from __future__ import annotations

import json
import os
import time

from .errors import LlamaCppError
from .files import open_own
from .units import MIB

LEASE_SUFFIX = ".lease"
LEASE_SECONDS = 20


class WatcherGone(LlamaCppError):
    """The play that started this task has ended."""


class Progress:
    """Reports the progress of one task.

    :param path: the state file; None: not reported, at no cost.
    :param subject: what is worked on, in the owner's words (``engine``, a model's name).
    :param interval: seconds between two writes at the least.
    """

    def __init__(self, path=None, subject="", interval=0.5):
        self._path = path
        self._subject = subject
        self._interval = interval
        self._written = float("-inf")
        self._stage = None
        self._stage_began = 0.0
        self._stage_first = 0

    def update(self, stage, done=0, total=None, unit="steps", detail=""):
        """Say where the task is: ``done`` of ``total`` ``unit`` ("steps" or "bytes") of ``stage``.

        A change of stage is always written; within one, writes are at least ``interval`` seconds apart.
        Raises WatcherGone when the lease is stale.
        """
        if self._path is None:
            return
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_began, self._stage_first = stage, now, done
        elif now - self._written < self._interval:
            return
        self._written = now
        self._check_lease()
        elapsed = now - self._stage_began
        state = {
            "subject": self._subject,
            "stage": stage,
            "done": done,
            "total": total,
            "unit": unit,
            "detail": detail,
            "rate": (done - self._stage_first) / elapsed if elapsed > 0.2 else None,
        }
        temporary = self._path + ".new"
        with open(open_own(temporary, os.O_WRONLY, 0o600), "w", encoding="utf-8") as stream:
            os.ftruncate(stream.fileno(), 0)
            json.dump(state, stream)
        os.replace(temporary, self._path)

    def heartbeat(self):
        """Look whether anybody still waits, when there is nothing new to say."""
        if self._path is not None and time.monotonic() - self._written >= self._interval:
            self._check_lease()

    def _check_lease(self):
        try:
            age = time.time() - os.stat(self._path + LEASE_SUFFIX).st_mtime
        except FileNotFoundError:
            return
        if age > LEASE_SECONDS:
            raise WatcherGone(
                "The play that started this has not been heard of for %d s, so it stopped here; "
                "what was done is kept. Run the play again to continue." % LEASE_SECONDS
            )


def byte_counter(progress, stage, total):
    """A function that is told of every piece of ``stage`` that is done, by its bytes, and reports the sum of them."""
    done = 0

    def on_bytes(count):
        nonlocal done
        done += count
        progress.update(stage, done, total, "bytes")

    return on_bytes


def describe(state):
    """One line for people, from a state that :meth:`Progress.update` wrote.

    >>> describe({"subject": "engine", "stage": "compiling", "done": 98, "total": 228, "unit": "steps"})
    'engine: [ 43 %] 98/228 compiling'
    """
    done, total, unit = state.get("done") or 0, state.get("total"), state.get("unit")
    parts = []
    if total:
        parts.append("[%3d %%]" % (100 * min(done, total) // total))
    if unit == "bytes":
        amount = "%.1f" % (done / MIB)
        parts.append(f"{amount}/{total / MIB:.1f} MiB" if total else amount + " MiB")
    elif total:
        parts.append("%d/%d" % (done, total))
    parts.append(state.get("stage") or "")
    line = " ".join(part for part in parts if part)
    rate = state.get("rate")
    if unit == "bytes" and rate:
        line += ", %.1f MiB/s" % (rate / MIB)
        if total and total > done:
            line += f", {duration((total - done) / rate)} left"
    if state.get("detail"):
        line += ", " + state["detail"]
    return "{}: {}".format(state["subject"], line) if state.get("subject") else line


def duration(seconds):
    """``50 s``, ``2 min 05 s`` or ``3 h 07 min``."""
    seconds = int(seconds + 0.5)
    if seconds < 60:
        return "%d s" % seconds
    if seconds < 3600:
        return "%d min %02d s" % divmod(seconds, 60)
    return "%d h %02d min" % divmod(seconds // 60, 60)
