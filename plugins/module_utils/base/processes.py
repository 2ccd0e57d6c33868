# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The processes of this host: found by what they were started with, ended with patience.

Linux tells about processes in ``/proc``; elsewhere ``ps -E`` prints a process's environment behind its command
(macOS: ps(1), for processes of the same user, or of all users for root).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from .wait import wait_until

PROC = "/proc"
SHOWN_CHARACTERS = 100  # of a command line
#: By its path, since root asks it too, and a user may have another in the PATH.
PROGRAM = "/bin/ps"
PS = [PROGRAM, "-A", "-E", "-ww", "-o", "pid=,ppid=,pgid=,command="]


class Process:
    """One process: ``pid``, ``parent``, ``group`` (process group id), and the words it was started with."""

    def __init__(self, pid, parent, group, arguments, environment):
        self.pid = pid
        self.parent = parent
        self.group = group
        self._arguments = arguments
        self._environment = environment

    def has_arguments(self, *words):
        """Whether ``words`` stand in the command line, one behind the other."""
        return _contains(self._arguments, words)

    def mentions(self, text):
        """Whether ``text`` stands anywhere in the command line."""
        line = self._arguments if isinstance(self._arguments, str) else " ".join(self._arguments)
        return text in line

    def has_environment(self, name, value):
        """Whether the process was started with ``name=value`` in its environment."""
        return _contains(self._environment, ["%s=%s" % (name, value)])


def _contains(words, wanted):
    """``words`` is a list, or one line where one cannot tell blanks between words from blanks within."""
    wanted = list(wanted)
    if not wanted:
        raise ValueError("no words are in every command line, and what matches may be ended")
    if isinstance(words, str):
        return " %s " % " ".join(wanted) in " %s " % words
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


def find(test):
    """The processes, this one excepted, for which ``test(process)`` is true. Others' secrets stay unread."""
    processes = _from_proc() if os.path.exists(PROC + "/self/stat") else _from_ps()
    return [process for process in processes if process.pid != os.getpid() and test(process)]


def _from_proc():
    for name in os.listdir(PROC):
        if not name.isdigit():
            continue
        try:
            state, parent, group = _stat(name)
            if state != "Z":
                yield Process(int(name), parent, group, _words(name, "cmdline"), _words(name, "environ"))
        except OSError:  # it ended meanwhile, or belongs to someone else
            continue


def _stat(pid):
    with open("%s/%s/stat" % (PROC, pid), encoding="utf-8", errors="replace") as stream:
        fields = stream.read().rpartition(")")[2].split()  # the name in parentheses may hold anything
    return fields[0], int(fields[1]), int(fields[2])


def _words(pid, name):
    with open("%s/%s/%s" % (PROC, pid, name), "rb") as stream:
        return [os.fsdecode(word) for word in stream.read().split(b"\0")]


def _from_ps():
    listing = subprocess.run(PS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    return parse_ps(os.fsdecode(listing))


def parse_ps(listing):
    """The processes in what ``ps -A -E -ww -o pid=,ppid=,pgid=,command=`` printed."""
    for line in listing.splitlines():
        fields = line.split(None, 3)
        if len(fields) == 4 and all(field.isdigit() for field in fields[:3]):
            pid, parent, group = (int(field) for field in fields[:3])
            yield Process(pid, parent, group, fields[3], fields[3])


def alive(pid):
    """Whether process ``pid`` runs. One that ended but was not yet collected by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return _stat(pid)[0] != "Z"
    except OSError:  # no /proc here, or it ended between the two looks
        state = subprocess.run(
            [PROGRAM, "-o", "stat=", "-p", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        ).stdout.decode("ascii", "replace")
        return bool(state.strip()) and not state.lstrip().startswith("Z")


def identity(pid):
    """Text that tells process ``pid`` from every other, also from a later one with its number; None: it does not run.

    The number and the time of its start: on Linux in clock ticks since the boot, elsewhere as ``ps -o lstart=`` tells.
    """
    if not alive(pid):
        return None
    try:
        with open(f"{PROC}/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            started = stream.read().rpartition(")")[2].split()[19]
    except OSError:
        done = subprocess.run(
            [PROGRAM, "-o", "lstart=", "-p", str(pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/bin:/usr/bin", "LC_ALL": "C", "TZ": "UTC0"},  # the text must not depend on who looks
            check=False,
        )
        started = " ".join(done.stdout.decode("ascii", "replace").split())
    return f"{pid} {started}" if started else None


def command(pid):
    """The beginning of the command line of process ``pid``, for people; "ended" when it has.

    Any user may have chosen it: what could steer a terminal is left out.
    """
    try:
        line = " ".join(_words(pid, "cmdline"))
    except OSError:
        listing = subprocess.run(
            [PROGRAM, "-ww", "-o", "command=", "-p", str(pid)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        line = os.fsdecode(listing.stdout)
    return "".join(filter(str.isprintable, line.strip()[:SHOWN_CHARACTERS])) or "ended"


def lock_holder(inode):
    """The process that took the lock (flock) on the file ``inode``; None where the system does not tell: on macOS."""
    try:
        with open(PROC + "/locks", encoding="ascii", errors="replace") as stream:
            locks = [line.split() for line in stream]
    except OSError:
        return None
    # "1: FLOCK  ADVISORY  WRITE 4711 08:01:131090 0 EOF" (proc_locks(5)); of who waits, "->" stands before FLOCK
    taken = [lock for lock in locks if len(lock) > 5 and lock[1] == "FLOCK" and lock[5].endswith(f":{inode}")]
    return next((int(lock[4]) for lock in taken if int(lock[4]) > 0), None)


def family(pid):
    """``pid`` and the numbers of all processes that descend from it."""
    found, parents = {pid}, {process.pid: process.parent for process in find(lambda process: True)}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


def end(pids, patience):
    """Ask ``pids`` to end (SIGTERM), and kill those that still run after ``patience`` seconds.

    Returns the pids that are still there after that: none, unless the kernel holds one.
    """
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10)):
        pids = [pid for pid in pids if alive(pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        wait_until(lambda pids=pids: not any(alive(pid) for pid in pids), seconds)
    return [pid for pid in pids if alive(pid)]
