#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gateway_plan
short_description: Turn the hosts behind a gateway into its plan
version_added: 0.2.0
description:
  - Reads the variables of the role C(llama_cpp_gateway), and the configuration of each host in its group of servers,
    with the variables that the inventory has for that host. Resolves them into the plan of the gateway, which holds
    HAProxy's whole configuration.
  - Asks the host of the gateway what it has, without a module. Nothing is changed.
  - All errors are reported at once, without secrets.
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
- name: Plan the gateway
  macos_setup.llm.gateway_plan:
  register: gateway
"""

RETURN = r"""
plan:
  description: Everything that the tasks of the role need to know, without secrets.
  returned: success
  type: dict
needed:
  description:
    - The options of M(macos_setup.llm.file_set) for the files that the configuration names. The key of the hosts is in
      them.
  returned: success
  type: dict
"""
