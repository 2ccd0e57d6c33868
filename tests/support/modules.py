# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a module of the collection the way Ansible does: as a process of its own, arguments in, JSON out.

What every module imports of Ansible takes longer than most modules do, so a process that has imported it
(module_forks.py) forks one for each run. What is the collection's own is imported anew each time.
"""

import json
import os
import subprocess
import sys
import threading

from support.paths import COLLECTIONS, REPOSITORY

#: The same as a program, for a test that has to hold the process: the module's name is its argument, and its stdin what
#: Ansible gives it.
RUNNER = """
import importlib, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
importlib.import_module("ansible_collections.macos_setup.llm.plugins.modules." + sys.argv[1]).main()
"""

FORKS = REPOSITORY / "tests" / "support" / "module_forks.py"
_mine = threading.local()  # runs in several threads are runs at the same time


def run_module(name, arguments, check=False, diff=False, environment=None, timeout=120):
    """The result of module ``name`` as a dict; ``failed`` is in it when the module failed.

    Raises AssertionError when the module printed no JSON (a crash) or took too long, with what it printed instead.
    """
    payload = {"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, "_ansible_diff": diff, **arguments}}
    umask = os.umask(0o077)
    os.umask(umask)
    request = {
        "name": name,
        "payload": json.dumps(payload),
        "environment": {**os.environ, "PYTHONPATH": str(COLLECTIONS), **(environment or {})},
        "directory": os.getcwd(),
        "umask": umask,
        "timeout": timeout,
    }
    code, out, errors = _ask(request)
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise AssertionError("module %s crashed (%s)\n%s\n%s" % (name, code, out, errors))


def _ask(request):
    forks = getattr(_mine, "forks", None)
    if forks is None or forks.poll() is not None:
        forks = _mine.forks = subprocess.Popen(
            [sys.executable, FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
            text=True,
        )
    forks.stdin.write(json.dumps(request) + "\n")
    forks.stdin.flush()
    answer = forks.stdout.readline()
    assert answer, "the process that forks the modules has ended"
    return json.loads(answer)
