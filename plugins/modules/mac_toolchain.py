#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Module ``mac_toolchain``; the work is done in ``module_utils/macos/toolchain.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mac_toolchain
short_description: See whether a Mac can build llama.cpp for its own processor
version_added: 0.1.0
description:
  - Looks for Apple's Command Line Tools, a native Python and CMake, a CMake that is new enough, and room on the disk.
  - Never opens a dialog. Fails with everything that is missing, each with its remedy.
options:
  directory:
    description: Where the engine is built; it need not exist yet.
    type: path
    required: true
  cmake:
    description: The CMake that would be used. If omitted, the play brings its own.
    type: path
  ignore_missing_tools:
    description: Say in RV(command_line_tools), and not by a failure, that the Command Line Tools are missing.
    type: bool
    default: false
attributes:
  check_mode:
    description: The module only looks. In check mode what is missing is a warning, so that the rest is shown too.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Nothing is ever changed.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: See whether llama.cpp can be built
  macos_setup.llm.mac_toolchain:
    directory: /Users/sam/llm-workspace/engine
    cmake: /opt/homebrew/bin/cmake
"""

RETURN = r"""
command_line_tools:
  description: Whether the Command Line Tools, or Xcode, are there and whole.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import toolchain
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.hardware import read_hardware


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "cmake": {"type": "path"},
            "ignore_missing_tools": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    tools = toolchain.developer_directory() is not None
    problems = toolchain.problems(
        read_hardware(), given["directory"], given["cmake"], tools=not given["ignore_missing_tools"]
    )
    if problems and not module.check_mode:
        module.fail_json(msg="llama.cpp cannot be built here; nothing was changed.\n  " + "\n  ".join(problems))
    for problem in problems:
        module.warn(problem)
    module.exit_json(changed=False, command_line_tools=tools)


if __name__ == "__main__":
    main()
