# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several requests at the same time, whose results come out in the order of their lines."""

from __future__ import annotations

import collections
import threading

from ..core.base.strict_json import MOST_BYTES

#: Lines that are read before the first of them has its result, for each that is asked at the same time.
AHEAD = 16
#: What these lines and their results may have together.
MOST_HELD_BYTES = 4 * MOST_BYTES


class _Place:
    """The place of one line in the order."""

    def __init__(self, line):
        self.line = line
        self.result = None
        self.size = len(line.content or b"")


class Work:
    """Answers ``lines`` with ``answer(line)`` in ``parallel`` threads.

    Threads take the lines by themselves, and the one that finishes the first open line hands on all results that are
    complete up to there: ``write(results)``. So none waits for another except where too much is held.

    The threads are daemons: one that waits for its input, or for a server, does not keep the program from ending.
    """

    def __init__(self, lines, answer, write, parallel):
        self._lines, self._answer, self._write = lines, answer, write
        self._reading = threading.Lock()
        self._state = threading.Lock()
        self._room, self._over = threading.Condition(self._state), threading.Condition(self._state)
        self._places, self._most, self._held = collections.deque(), AHEAD * parallel, 0
        self._failure, self._stopped = None, False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(parallel)]
        self._working = parallel

    def run(self, tick, seconds):
        """Work until all lines have their result; ``tick()`` is called every so many ``seconds``.

        Raises what came up in a thread. Nothing is written after the return, however it comes.
        """
        try:
            for thread in self._threads:
                thread.start()
            while True:
                with self._over:
                    over = self._over.wait_for(lambda: self._failure or not self._working, seconds)
                tick()
                if over:
                    break
        finally:
            with self._room:
                self._stopped = True
                self._room.notify_all()
        if self._failure:
            raise self._failure

    def _run(self):
        try:
            while True:
                place = self._next()
                if place is None:
                    break
                self._finish(place, self._answer(place.line))
        except BaseException as error:  # whatever it is, it is raised where the threads were started
            with self._room:
                self._failure = self._failure or error
                self._room.notify_all()
        finally:
            with self._over:
                self._working -= 1
                self._over.notify()

    def _next(self):
        """The place of the next line, as soon as there is room for it; None when there is none, or it is over."""
        with self._reading:
            with self._room:
                self._room.wait_for(self._has_room)
                if self._stopped or self._failure:
                    return None
            line = next(self._lines, None)
            if line is None:
                return None
            place = _Place(line)
            with self._state:
                self._places.append(place)
                self._held += place.size
            return place

    def _has_room(self):
        full = len(self._places) >= self._most or self._held > MOST_HELD_BYTES
        return not (self._places and full) or self._stopped or self._failure

    def _finish(self, place, result):
        with self._state:
            place.result = result
            self._held += len(result)
            place.size += len(result)
            if self._stopped or self._failure or place is not self._places[0]:
                return
            done = []
            while self._places and self._places[0].result is not None:
                first = self._places.popleft()
                self._held -= first.size
                done.append(first.result)
            self._write(done)
            self._room.notify()  # the one that reads; the others wait for their turn to
