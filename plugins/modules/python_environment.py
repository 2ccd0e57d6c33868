#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Installs a requirements file into a virtual environment."""

from __future__ import annotations

DOCUMENTATION = r"""
module: python_environment
short_description: Install a hash-pinned requirements file into a virtual environment
version_added: 0.1.0
description:
  - Creates the environment with C(uv) if it is installed on the host, otherwise with C(venv) and C(pip). Packages come
    from the package index that the host is configured for, and every package must match a hash.
  - The environment is created again if the requirements have changed or if its Python no longer runs. Otherwise the
    network is not used.
options:
  path:
    description: Directory of the environment. Only this module may write to it.
    type: path
    required: true
  requirements:
    description: Content of the requirements file, with a hash for every package. Can be empty.
    type: str
    required: true
  manifest:
    description: Manifest of the installation. The environment is recorded in it before it is created.
    type: path
  bundle:
    description: Bundle to install the packages from instead of the package index. See M(macos_setup.llm.bundle).
    type: path
  uv:
    description:
      - Path of uv, which takes about a second, so that the action plugin shows no progress then. If omitted, the module
        looks for it.
    type: path
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Reports whether the environment would be created.
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
  description: Path of the interpreter of the environment.
  returned: success
  type: str
  sample: /opt/llm/tools/venv/bin/python
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.net.python_environment import OPTIONS, PythonEnvironment
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.bundle import Bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest


def main():
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "manifest": {"type": "path"},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        bundle = Bundle(given["bundle"]) if given["bundle"] else None
        environment = PythonEnvironment(given["path"], given["requirements"], bundle, given["uv"])
        ready = environment.is_ready()
        if not ready:
            environment.require_ours()
        if not ready and not module.check_mode:
            Manifest(given["manifest"]).note({environment.path: "tree"})
            environment.install(Progress(given["progress_file"], subject=environment.path))
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
