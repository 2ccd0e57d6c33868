#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: role_variables
short_description: Take the variables of the role, each of its type
version_added: 0.2.0
description:
  - Converts every C(llama_cpp_*) variable of the host to the type that the argument specification of the role names,
    whether it was given as JSON or YAML, as C(-e name=value), or in an INI inventory.
  - What cannot be converted is refused, all of it at once, with what is allowed.
  - Nothing on the host is read or changed.
options: {}
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
- name: Take the variables
  macos_setup.llm.role_variables:
  register: role
"""

RETURN = r"""
variables:
  description:
    - Each variable by its name without the prefix; null where it is left out and has no default.
    - C(overrides) includes the variables that stand for one key of C(llm_settings).
  returned: success
  type: dict
"""
