# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a module of the collection the way Ansible does: as a process of its own, arguments in, JSON out."""

import json
import os
import subprocess
import sys

from support.paths import COLLECTIONS

RUNNER = """
import importlib, json, sys
from ansible.module_utils import basic
payload = sys.stdin.buffer.read()
basic._ANSIBLE_ARGS = payload
basic._ANSIBLE_PROFILE = "legacy"
importlib.import_module("ansible_collections.macos_setup.llm.plugins.modules." + sys.argv[1]).main()
"""


def run_module(name, arguments, check=False, diff=False, environment=None, timeout=120):
    """The result of module ``name`` as a dict; ``failed`` is in it when the module failed.

    Raises AssertionError when the module printed no JSON (a crash), with what it printed instead.
    """
    payload = {"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check, "_ansible_diff": diff, **arguments}}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, name],
        input=json.dumps(payload),
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS), **(environment or {})},
        check=False,
    )
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise AssertionError("module %s crashed (rc %d)\n%s\n%s" % (name, done.returncode, done.stdout, done.stderr))
