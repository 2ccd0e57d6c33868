#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_variables
short_description: Convert and validate the variables of the role
version_added: 0.2.0
description:
  - Converts every C(llama_cpp_*) variable of the host to its type in the argument specification of the role, whether it
    was set as JSON, as YAML, with C(-e name=value), or in an INI inventory.
  - Fails if variables cannot be converted. All of them are reported at once, with the allowed values.
  - The host is neither read nor changed.
options: {}
attributes:
  check_mode:
    description: The module changes nothing.
    support: full
  diff_mode:
    description: The module changes nothing.
    support: none
  idempotent:
    description: The module changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Take the variables
  macos_setup.llm.role_variables:
  register: role
"""

RETURN = r"""
variables:
  description:
    - Variables by their names without the prefix. A variable that is not set and has no default is null.
    - C(overrides) includes the variables that set one key of C(llm_settings).
  returned: success
  type: dict
"""
