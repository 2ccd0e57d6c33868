# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a module of the collection as Ansible does. As a program: its name is the argument, and its own are on stdin."""

import importlib
import sys

from ansible.module_utils import basic

MODULES = "ansible_collections.macos_setup.llm.plugins.modules."


def run(name, arguments):
    """Run module ``name``, which ends the process; ``arguments`` is the JSON that Ansible gives it."""
    basic._ANSIBLE_ARGS = arguments.encode()
    basic._ANSIBLE_PROFILE = "legacy"
    importlib.import_module(MODULES + name).main()


if __name__ == "__main__":
    run(sys.argv[1], sys.stdin.read())
