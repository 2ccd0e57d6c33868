# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a command and writes down what it cost.

    python metered.py REPORT COMMAND [ARGUMENT …]

REPORT becomes a JSON file with ``wall`` and ``cpu``, both in seconds; ``cpu`` is user and system time of the command
and of everything that it started. On Linux that includes what outlived its parent, such as services and detached jobs:
this process adopts and collects it (PR_SET_CHILD_SUBREAPER, prctl(2)). Elsewhere such processes are not counted, nor
is anywhere what still runs some seconds after the command has ended. The exit status is the command's; it is ended with
this process by SIGINT and SIGTERM, and what it cost until then is written down all the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
#: What was told to end with its parent takes a while: ninja, which has the time of all compilers, waits for them.
ORPHAN_SECONDS = 10


def run(command):
    """Run ``command``, a list of words; returns (exit status, {"wall": seconds, "cpu": seconds})."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command has got it, too, and ends as it likes
    signal.signal(signal.SIGTERM, lambda number, _frame: _send(child, number))
    ended = None
    while ended != child:
        ended, status = os.wait()
    wall = time.monotonic() - began
    _wait_for_orphans()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code, {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime}


def _send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_for_orphans():
    """Until there are none, or for ORPHAN_SECONDS."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.1)


def main(arguments):
    report, *command = arguments
    code, cost = run(command)
    with open(report, "w", encoding="utf-8") as stream:
        json.dump(cost, stream)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
