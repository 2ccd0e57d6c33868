# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a function of a Python module on request, each time in a process that is forked from this one: see forks.py.

What has been imported for one run is there for the next, so that a run costs what it does and not what it imports. A
request is a line of JSON on stdin, its answer one on stdout: exit status, or "timeout"; stdout; stderr.
"""

import contextlib
import importlib
import json
import os
import selectors
import signal
import sys
import tempfile
import time
import traceback


def main():
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(request):
    """[exit status, stdout, stderr] of a run, which ends when both streams are closed, as for Ansible."""
    for name in request["preload"]:
        with contextlib.suppress(BaseException):  # the forked process fails alike, and tells
            importlib.import_module(name)
    pipes = [os.pipe(), os.pipe()]
    with tempfile.TemporaryFile() as given:
        given.write(request["stdin"].encode("utf-8", "surrogateescape"))
        given.seek(0)
        pid = os.fork()
        if pid == 0:
            _live(request, [given.fileno(), *(write for _read, write in pipes)])
    for _read, write in pipes:
        os.close(write)
    texts, ended = _collected([read for read, _write in pipes], time.monotonic() + request["timeout"])
    if not ended:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return [code if ended else "timeout", *(text.decode("utf-8", "surrogateescape") for text in texts)]


def _collected(streams, deadline):
    texts, selector = dict.fromkeys(streams, b""), selectors.DefaultSelector()
    for stream in streams:
        selector.register(stream, selectors.EVENT_READ)
    while selector.get_map() and time.monotonic() < deadline:
        for key, _events in selector.select(1):
            data = os.read(key.fd, 65536)
            texts[key.fd] += data
            if not data:
                selector.unregister(key.fd)
    ended = not selector.get_map()
    selector.close()
    for stream in streams:
        os.close(stream)
    return list(texts.values()), ended


def _live(request, streams):
    """All that the process of the run does."""
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, 256)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (it ends with the process)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        os.umask(request["umask"])
        function = getattr(importlib.import_module(request["module"]), request["function"])
        sys.exit(function(*request["arguments"]))
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()
