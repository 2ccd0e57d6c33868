#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: configure
short_description: Turn a configuration file into the plan of one host
version_added: 0.2.0
description:
  - Reads the configuration file on the controller, applies the variables of the host, checks the result against its
    JSON Schema and the rules between its keys, and resolves it into the plan of this host.
  - Then looks at the host once, with M(macos_setup.llm.host_info), which refuses what is impossible there and tells
    which stages have something to do. The plan is final, and nothing was changed.
  - For a host with RPC workers, these are asked before with M(macos_setup.llm.rpc_workers), and the engine of a worker
    in the inventory is compared with that of the host.
  - The lock file that lies with the configuration file, C(llm_config.lock.json) for C(llm_config.json), tells revision,
    size and SHA-256 of the models for which the configuration does not.
  - All errors are reported at once. Strings in the file are data; text in double braces is never evaluated.
options:
  variables:
    description: The variables of the role, as M(macos_setup.llm.role_variables) returns them.
    type: dict
    required: true
  look:
    description:
      - Whether the host is looked at. It is not if the server is disabled or is to be removed, nor when the tag
        C(llm_config) is the only one of the play.
    type: bool
    default: true
  program:
    description:
      - Another program of the engine, such as C(ggml-rpc-server), that a role runs. The plan is then for the engine
        alone, which has to have this program.
    type: str
  mac_programs:
    description: Paths of C(sysctl) and C(pmset) where they differ from those of macOS.
    type: dict
    default: {}
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
- name: Read the variables of the role
  macos_setup.llm.role_variables:
  register: role

- name: Resolve the configuration and look at the host
  macos_setup.llm.configure:
    variables: "{{ role.variables }}"
  register: configured
"""

RETURN = r"""
plan:
  description: Everything that the stages need to know, without secrets.
  returned: success
  type: dict
queries:
  description:
    - The queries of the addresses in the configuration, each with its C(?), by the address without it. A signed address
      lets in everyone who holds it, so no other result has them.
  returned: success
  type: dict
"""
