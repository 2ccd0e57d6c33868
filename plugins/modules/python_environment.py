#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Keeps a virtual environment in step with a requirements file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_environment
short_description: Keep a virtual environment in step with a hash-pinned requirements file
version_added: 0.1.0
description:
  - Makes the environment with C(uv) when the host has it, otherwise with C(venv) and C(pip), through the package
    index that the host is configured for. Every package must match a hash.
  - The environment is made anew when the requirements differ from those it was made from, or when its Python
    does not run any more. Otherwise nothing is asked of the network.
options:
  path:
    description: Directory of the environment. It belongs to this module alone.
    type: path
    required: true
  requirements:
    description: Content of the requirements file, with a hash for every package; empty for none.
    type: str
    required: true
  manifest:
    description: Manifest of the installation, in which the environment is noted before it is made.
    type: path
  bundle:
    description: Bundle to take the packages from instead of the package index; see M(macos_setup.llm.bundle).
    type: path
  progress_file:
    description: Where progress is written; set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Says whether the environment would be made anew.
    support: full
  diff_mode:
    description: Shows whether the environment is ready.
    support: full
  idempotent:
    description: A second run with the same requirements changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Install the packages of the tools
  macos_setup.llm.python_environment:
    path: /opt/llm/tools/venv
    requirements: "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
"""

RETURN = r"""
python:
  description: The interpreter of the environment.
  returned: success
  type: str
  sample: /opt/llm/tools/venv/bin/python
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.net.python_environment import PythonEnvironment
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "requirements": {"type": "str", "required": True},
            "manifest": {"type": "path"},
            "bundle": {"type": "path"},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    bundle = module.params["bundle"]
    try:
        environment = PythonEnvironment(
            module.params["path"], module.params["requirements"], Bundle(bundle) if bundle else None
        )
        ready = environment.is_ready()
        if not ready:
            environment.require_ours()
        if not ready and not module.check_mode:
            Manifest(module.params["manifest"]).note({environment.path: "tree"})
            environment.install(Progress(module.params["progress_file"], subject=environment.path))
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(
        changed=not ready,
        python=environment.python,
        diff={
            "before": "{}: {}\n".format(environment.path, "ready" if ready else "absent or outdated"),
            "after": f"{environment.path}: ready\n",
        },
    )


if __name__ == "__main__":
    main()
