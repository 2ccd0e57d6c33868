# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Work on several files of a model at the same time, with one line of progress for all of it."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from ..base.errors import LlamaCppError

PARALLEL_DOWNLOADS = 4


class Stopped(LlamaCppError):
    """The work on another file failed."""


def at_once(calls, stop):
    """The results of ``calls``, several of which run at a time; the first failure calls ``stop`` and is raised."""
    if len(calls) == 1:
        return [calls[0]()]
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        running = [pool.submit(call) for call in calls]
        wait(running, return_when=FIRST_EXCEPTION)
        if any(task.done() and task.exception() for task in running):
            stop()
            for task in running:
                task.cancel()
    failures = [task.exception() for task in running if not task.cancelled() and task.exception()]
    for failure in sorted(failures, key=lambda failure: isinstance(failure, Stopped)):
        raise failure
    return [task.result() for task in running]


class SharedProgress:
    """The progress of ``count`` files, told to one :class:`~..base.progress.Progress`."""

    def __init__(self, progress, count):
        self._progress = progress
        self._lock = threading.Lock()
        self._shares = [(0, None)] * count
        self._stopped = False

    def share(self, index):
        """What the file ``index`` reports to: the progress itself where there is only one file."""
        return _Share(self, index) if len(self._shares) > 1 else self._progress

    def stop(self):
        """Have the work on every file end at its next report."""
        self._stopped = True

    def heartbeat(self):
        self._require_running()
        with self._lock:
            self._progress.heartbeat()

    def update(self, index, done, total, detail):
        self._require_running()
        with self._lock:
            if total is not None:
                self._shares[index] = (done, total)
            known = [share for share in self._shares if share[1] is not None]
            complete = sum(done == total for done, total in known)
            total = sum(total for _done, total in known) if len(known) == len(self._shares) else None
            words = "%d of %d files complete" % (complete, len(self._shares))
            self._progress.update(
                "downloading",
                sum(done for done, _total in known),
                total,
                "bytes",
                ", ".join(filter(None, (words, detail))),
            )

    def _require_running(self):
        if self._stopped:
            raise Stopped("Another file of the model failed.")


class _Share:
    """Stands where a :class:`~..base.progress.Progress` is wanted."""

    def __init__(self, shared, index):
        self._shared, self._index = shared, index

    def update(self, _stage, done=0, total=None, unit="steps", detail=""):
        in_bytes = unit == "bytes"
        self._shared.update(self._index, done, total if in_bytes else None, "" if in_bytes else detail)

    def heartbeat(self):
        self._shared.heartbeat()
