#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Removes the models that nobody wants any more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_prune
short_description: Remove the models that nobody wants any more
version_added: 0.1.0
description:
  - Removes from a directory the models that M(macos_setup.llm.gguf_model) put there, unless they are to be kept, and
    unfinished downloads of such models.
  - What somebody else put there, or changed since, stays.
options:
  directory:
    description: Absolute path of the directory.
    type: path
    required: true
  keep:
    description: Absolute paths of the files in it that are wanted.
    type: list
    elements: path
    required: true
attributes:
  check_mode:
    description: Says what would be removed.
    support: full
  diff_mode:
    description: Shows path, size and SHA-256 of what is removed.
    support: full
  idempotent:
    description: A second run finds nothing to remove.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Keep one model
  macos_setup.llm.model_prune:
    directory: /Users/sam/llm-workspace/models
    keep: [/Users/sam/llm-workspace/models/tiny.gguf]
"""

RETURN = r"""
removed:
  description: Paths of the models that were removed, or in check mode would be.
  returned: success
  type: list
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.models.prune import prune


def main():
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "keep": {"type": "list", "elements": "path", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        results = prune(module.params["directory"], module.params["keep"], module.check_mode)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(
        changed=bool(results),
        removed=list(results),
        diff={"before": {path: result["diff"]["before"] for path, result in results.items()}, "after": {}},
    )


if __name__ == "__main__":
    main()
