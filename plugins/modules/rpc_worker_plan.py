#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rpc_worker_plan
short_description: Turn the variables of an RPC worker into its plan
version_added: 0.2.0
description:
  - Reads the variables of the role C(llama_cpp_rpc_worker), and manager and scope of the service from the configuration
    of the host. Refuses an address outside the declared private network. Nothing is changed.
options:
  release:
    description:
      - Directory of the release of llama.cpp that the worker runs. Without it the plan tells where the worker lies, and
        nothing of what runs.
    type: path
requirements:
  - jsonschema, where Ansible runs
attributes:
  check_mode:
    description: The module changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The module changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Plan the worker
  macos_setup.llm.rpc_worker_plan:
    release: /Users/sam/llm-workspace/engine/releases/0c1e570-3f1a9b2c4d5e
  register: worker
"""

RETURN = r"""
plan:
  description: Everything that the tasks of the role need to know.
  returned: success
  type: dict
variables:
  description: The variables of the role, each of its type, by name without the prefix.
  returned: success
  type: dict
"""
