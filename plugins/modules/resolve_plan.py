#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: resolve_plan
short_description: Read, check and resolve the configuration of a llama.cpp server
version_added: 0.1.0
description:
  - Reads the configuration file on the controller, lays the variables of the host over it, checks the result
    against its JSON Schema and the rules between its keys, and resolves it into the plan of this host.
  - The lock file beside the configuration file, C(llm_config.lock.json) for C(llm_config.json), tells revision, size
    and SHA-256 of the models for which the configuration does not.
  - All errors are reported at once. Nothing on the host is read or changed.
  - Strings in the file are data; text in double braces is never evaluated.
options:
  config_file:
    description: Path of the configuration file on the controller.
    type: path
    required: true
  overrides:
    description:
      - Values that are laid over the file for this host, nested like the file, as M(macos_setup.llm.role_variables)
        returns them.
    type: dict
    default: {}
  host:
    description:
      - What is known of the host, namely C(system), C(architecture), C(home), C(user) and C(uid).
      - For a service under launchd C(launchctl), too, and where they differ from macOS C(daemons_dir), the directory of
        the daemons, and C(newsyslog_dir), that of what newsyslog is told.
    type: dict
    required: true
  renew_lock:
    description: Leave out what the lock file says, because it is to be written anew.
    type: bool
    default: false
  ready_timeout:
    description: Seconds that a changed server may take until it answers.
    type: int
  hide_queries:
    description: Hide the result when RV(queries) is not empty.
    type: bool
    default: true
requirements:
  - jsonschema, where Ansible runs
attributes:
  check_mode:
    description: The module changes nothing.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Load, check and resolve the configuration
  macos_setup.llm.resolve_plan:
    config_file: "{{ playbook_dir }}/llm_config.json"
    host:
      system: Darwin
      architecture: arm64
      home: /Users/sam
      user: sam
      uid: 501
  register: resolved
"""

RETURN = r"""
plan:
  description: Everything that the later stages need to know, without secrets.
  returned: success
  type: dict
queries:
  description:
    - The queries of the addresses in the configuration, each with its C(?), by the address without it. A signed address
      lets in everyone who holds it, so no other result has them.
  returned: success
  type: dict
"""
