# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How often a network task is tried again, and how long it waits before."""

from __future__ import annotations

import time

from ..base.progress import Progress

ATTEMPTS = 6  # waits of 1, 2, 4, 8 and 16 s lie between them
LONGEST_WAIT = 60.0
LONGEST_ASKED_WAIT = 600.0  # a server that asks for more is not waited for
TICK = 0.5


class Retry:
    """Counts failures in a row. One object per task: :meth:`after` each failure, :meth:`reset` on real progress.

    :param sleep: what waits; tests give one that does not.
    """

    def __init__(self, attempts=ATTEMPTS, progress=None, sleep=time.sleep):
        self._attempts = attempts
        self._progress = progress or Progress()
        self._sleep = sleep
        self._failures = 0

    def reset(self):
        self._failures = 0

    def after(self, error):
        """Wait until the next attempt is due; raises ``error``, a WebError, when there is to be none."""
        self._failures += 1
        wait = min(2.0 ** (self._failures - 1), LONGEST_WAIT)
        if error.retry_after is not None:
            wait = max(wait, error.retry_after)
        if not error.transient or self._failures >= self._attempts or wait > LONGEST_ASKED_WAIT:
            raise error
        while wait > 0:  # in short steps, so that a watcher that left is noticed
            detail = "attempt %d of %d in %d s; %s" % (self._failures + 1, self._attempts, wait + 0.5, error)
            self._progress.update("waiting", detail=detail)
            self._sleep(min(wait, TICK))
            wait -= TICK
