# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a function of a Python module in a process of its own, which is forked from one that has imported it already.

To start Python and to import what a program needs takes longer than most programs do.
"""

import json
import os
import subprocess
import sys
import threading

from support.paths import REPOSITORY

SERVER = REPOSITORY / "tests" / "support" / "fork_server.py"
_mine = threading.local()  # runs in several threads are runs at the same time


def run(path, module, function, *arguments, preload=(), stdin="", environment=None, timeout=120):
    """(exit status or "timeout", stdout, stderr) of ``function(*arguments)`` of ``module``, which is found in ``path``.

    :param path: what the processes have in PYTHONPATH; there is one server for each.
    :param preload: names of more modules that the run imports.
    :param environment: the whole environment of the process; None is that of the test.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "module": module,
        "function": function,
        "arguments": arguments,
        "preload": [module, *preload],
        "stdin": stdin,
        "environment": {**os.environ} if environment is None else environment,
        "directory": os.getcwd(),
        "umask": umask,
        "timeout": timeout,
    }
    server = _server(str(path))
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, "the process that forks has ended"
    return json.loads(answer)


def _server(path):
    servers = _mine.__dict__.setdefault("servers", {})
    if path not in servers or servers[path].poll() is not None:
        servers[path] = subprocess.Popen(
            [sys.executable, SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )
    return servers[path]
