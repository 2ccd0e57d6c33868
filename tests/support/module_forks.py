# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs modules on request, each in a process that is forked from this one: see modules.py.

A request is a line of JSON on stdin, its answer one on stdout: exit status, or "timeout"; stdout; stderr.
"""

import importlib
import json
import os
import selectors
import signal
import sys
import time
import traceback

from ansible.module_utils import basic


def main():
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(request):
    """[exit status, stdout, stderr] of a run, which ends when both streams are closed, as for Ansible."""
    pipes = [os.pipe(), os.pipe()]
    pid = os.fork()
    if pid == 0:
        _live(request, [write for _read, write in pipes])
    for _read, write in pipes:
        os.close(write)
    texts, ended = _collected([read for read, _write in pipes], time.monotonic() + request["timeout"])
    if not ended:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return ["timeout" if not ended else status, *(text.decode(errors="replace") for text in texts)]


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
    """All that the process of the module does."""
    status = 1
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, stream in enumerate([nothing, *streams]):
            os.dup2(stream, number)
        os.closerange(3, 256)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["directory"])
        os.umask(request["umask"])
        basic._ANSIBLE_ARGS = request["payload"].encode()
        basic._ANSIBLE_PROFILE = "legacy"
        sys.argv = [request["name"]]
        importlib.import_module("ansible_collections.macos_setup.llm.plugins.modules." + request["name"]).main()
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()
