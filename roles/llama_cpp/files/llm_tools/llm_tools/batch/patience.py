# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Requests that outlive a server that is away, loads its model, or is too busy, for a while.

A server that says when to come again (``Retry-After``) is not asked earlier.
"""

from __future__ import annotations

import threading
import time

from ..core.base.errors import LlamaCppError
from ..core.llama.errors import ConnectionLost, NotRunning, ServerError, StillLoading

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
BUSY = (429, 502, 503)
#: Trouble that comes and goes is told about no more often.
TOLD_SECONDS = 60.0
#: A request at which so many connections in a row are lost, of a server that is there before each, is what ends it.
MOST_LOST = 5


class EndsServer(LlamaCppError):
    """A request that the server does not survive."""


class Patience:
    """Asks ``server``, and waits up to ``seconds`` whenever it is away; threads may share it.

    :param tell: is called with the failure when the waiting begins.
    :ivar trouble: the failure that is waited for at present, or None.
    """

    def __init__(self, server, seconds, tell):
        self._server = server
        self._seconds = seconds
        self._tell = tell
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._told = float("-inf")
        self.trouble = None

    def ask(self, function, *arguments):
        """What ``function(*arguments)``, a request to the server, returns.

        Raises EndsServer; and the ServerError of the request, if that does not pass or did not in time.
        """
        lost = None
        for _ in range(MOST_LOST):
            try:
                return self._wait_for(lambda error: not isinstance(error, ConnectionLost), function, *arguments)
            except ConnectionLost as error:
                if self._over.is_set():
                    raise
                lost = error
            self._wait_for(lambda error: True, self._look)
        raise EndsServer(f"the connection was lost {MOST_LOST} times in a row, at this request") from lost

    def end(self):
        """Wait for nothing more."""
        self._over.set()

    def _wait_for(self, passing, function, *arguments):
        pause, end = FIRST_PAUSE, None
        while True:
            try:
                found = function(*arguments)
                self.trouble = None
                return found
            except ServerError as error:
                now = time.monotonic()
                end = end or now + self._seconds
                if not (passes(error) and passing(error)) or self._over.is_set() or now >= end:
                    raise
                self._note(error, now)
                asked = error.retry_after or 0
            self._over.wait(min(max(pause, asked), end - now))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _note(self, error, now):
        with self._lock:
            news = self.trouble is None and now - self._told > TOLD_SECONDS
            self.trouble = error
            if news:
                self._told = now
        if news:
            self._tell(error)

    def _look(self):
        """Raise ServerError unless the server, which may be no llama-server, is there."""
        try:
            if self._server.health() == "loading":
                raise StillLoading(f"{self._server.base_url} is up and still loads its model.", 503)
        except ServerError as error:
            if passes(error):
                raise


def passes(error):
    """Whether the cause of a ServerError may be gone after a while."""
    return isinstance(error, (NotRunning, StillLoading)) or error.status in BUSY
