# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a module of the collection the way Ansible does: as a process of its own, arguments in, JSON out."""

import json
import os

from support import forks, module_main
from support.paths import COLLECTIONS, REPOSITORY

#: The same as a program, for a test that has to hold the process; its PYTHONPATH is COLLECTIONS.
PROGRAM = module_main.__file__


def run_module(name, arguments, check=False, diff=False, environment=None, timeout=120):
    """The result of module ``name`` as a dict; ``failed`` is in it when the module failed.

    Raises AssertionError when the module printed no JSON (a crash) or took too long, with what it printed instead.
    """
    payload = {"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, "_ansible_diff": diff, **arguments}}
    code, out, errors = forks.run(
        f"{COLLECTIONS}{os.pathsep}{REPOSITORY / 'tests'}",
        module_main.__name__,
        "run",
        name,
        json.dumps(payload),
        preload=[module_main.MODULES + name],
        environment={**os.environ, "PYTHONPATH": str(COLLECTIONS), **(environment or {})},
        timeout=timeout,
    )
    for line in reversed(out.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise AssertionError("module %s crashed (%s)\n%s\n%s" % (name, code, out, errors))
