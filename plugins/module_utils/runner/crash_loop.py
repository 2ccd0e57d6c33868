# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What one run of the service tells the next: how often the server ended too soon, and what may be left of it.

The file is JSON and is read by ``llm-manager status``:

``held``   whether the runner has given up starting the server
``why``    in one line, why it has, or why the last start came to nothing; null otherwise
``exits``  the fast exits in a row: [{"at": time, "seconds": how long it ran, "status": exit status, or minus a signal}]
``child``  the running server: {"pid", "identity" (base/processes.py), "argv"}; null when there is none

A service manager starts again what failed, never what ended with 0. So the count goes on only after a failure: a
start after a hold, or after a stop, is one that somebody wanted, and has all its attempts.
"""

from __future__ import annotations

from ..base import processes
from ..base.files import read_json, write_json_atomically
from ..base.log_lines import now


def why_held(path):
    """Why the runner with the state file ``path`` holds still, as text; None when it does not."""
    found = read_json(path, {"why": str})
    return found.get("why") if found and found.get("held") else None


def why_not_started(path):
    """Why the last start came to nothing, as text, whether or not the runner holds still; None when it did not."""
    found = read_json(path, {"why": str})
    return found.get("why") if found else None


class RunState:
    """The state in the file ``path``.

    :param seconds: an exit within so many seconds of the start is a fast one.
    :param limit: so many fast exits in a row are enough.
    :param complain: called with a text when the file cannot be written, which must not stop the server.
    """

    def __init__(self, path, seconds, limit, complain):
        self._path = path
        self._seconds = seconds
        self._limit = limit
        self._complain = complain
        self._child = None
        found = read_json(path)
        found = found if isinstance(found, dict) else {}
        exits, child = found.get("exits"), found.get("child")
        self._exits = exits if isinstance(exits, list) and not found.get("held") else []
        #: What ran when the file was last written, as in ``child``, or None.
        self.predecessor = child if _is_child(child) else None

    def waiting(self, why):
        """The server is not started yet, for the reason ``why``. That is no failure: the count is left alone."""
        self._child = None
        self._save(why)

    def started(self, pid, argv):
        self._child = {"pid": pid, "identity": processes.identity(pid), "argv": argv}
        self._save()

    def lasted(self):
        """The server has run long enough: what was before does not count any more."""
        if self._exits:
            self._exits = []
            self._save()

    def stopped(self):
        """The server ended because it was to, or as if it was: with exit status 0."""
        self._exits, self._child = [], None
        self._save()

    def bereft(self, why):
        """The server ended since something else went, ``why``: starting it again is not in vain."""
        self._exits, self._child = [], None
        self._save(why)

    def failed(self, status, seconds, reason):
        """The server ended by itself after ``seconds``, or was not started. The reason to hold still, or None to be
        started again.

        :param status: exit status, or minus the number of a signal.
        :param reason: called without arguments for what the server said about it, as text.
        """
        started, self._child = self._child is not None, None
        if seconds >= self._seconds:
            self._exits = []
        else:
            self._exits.append({"at": now(), "seconds": round(seconds, 3), "status": status})
        if len(self._exits) < self._limit:
            self._save(None if started else reason())
            return None
        why = (
            f"the server ended {len(self._exits)} times in a row within {self._seconds:g} s of its start, "
            f"the last time {ending(status)}: {reason()}"
        )
        self._save(why, held=True)
        return why

    def _save(self, why=None, held=False):
        state = {"held": held, "why": why, "exits": self._exits, "child": self._child}
        try:
            write_json_atomically(self._path, state)
        except OSError as error:
            self._complain(f"{self._path} cannot be written: {error.strerror}; fast exits are not counted")


def _is_child(value):
    """Whether a state file that may be damaged tells of a process."""
    if not isinstance(value, dict) or not isinstance(value.get("argv"), list):
        return False
    pid = value.get("pid")
    return type(pid) is int and 1 < pid < 2**31 and all(isinstance(word, str) for word in value["argv"])


def ending(status):
    """How a process ended, in words."""
    return f"by signal {-status}" if status < 0 else f"with exit status {status}"
