#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Tells which commit a tag is; the work is done in ``module_utils/engine/commit.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_commit
short_description: Tell which commit a tag of llama.cpp is
version_added: 0.2.0
description:
  - Asks a git repository which commit a tag stands for, and refuses a tag that was moved. Changes nothing.
options:
  url:
    description: Address of the repository, as git takes it.
    type: str
    required: true
  tag:
    description: The tag.
    type: str
    required: true
  system:
    description: The system of the host, as Ansible names it.
    type: str
    required: true
  commit:
    description: The commit that the tag has to be.
    type: str
  lock_file:
    description: Where O(commit) is recorded, for the message.
    type: str
    default: the lock file
  ignore_missing_git:
    description: Whether a host without git is no failure; RV(commit) is then none.
    type: bool
    default: false
attributes:
  check_mode:
    description: Asks as well. That the repository cannot be asked is a warning then.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Ask which commit a tag is
  macos_setup.llm.engine_commit:
    url: https://github.com/ggml-org/llama.cpp.git
    tag: b10488
    system: Darwin
"""

RETURN = r"""
commit:
  description: The full commit; none when it could not be asked and that is no failure.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import commit as engine_commit


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "system": {"type": "str", "required": True},
            "commit": {"type": "str"},
            "lock_file": {"type": "str", "default": "the lock file"},
            "ignore_missing_git": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    asked, found = module.params, None
    try:
        found = engine_commit.commit_of(asked["url"], asked["tag"], asked["system"])
        if asked["commit"]:
            engine_commit.require(asked["commit"], found, asked["tag"], asked["url"], asked["lock_file"])
    except LlamaCppError as error:
        if not (asked["ignore_missing_git"] and isinstance(error, engine_commit.NoGit)):
            if not module.check_mode:
                module.fail_json(msg=str(error))
            module.warn(str(error))
    module.exit_json(changed=False, commit=found)


if __name__ == "__main__":
    main()
