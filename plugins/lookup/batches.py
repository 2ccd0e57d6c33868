# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The batches of a play, from the variable llama_cpp_serial."""

from __future__ import annotations

DOCUMENTATION = r"""
name: batches
short_description: Turn llama_cpp_serial into the batches of a play
version_added: 0.2.0
description:
  - Returns a list for the keyword C(serial) of a play. C(-e name=value) and an INI inventory give text, which Ansible
    itself would not take for a list.
options:
  _terms:
    description:
      - A number of hosts from 1, a share of them such as C(25%), or a list of these, also as JSON text. Null or empty
        text is no batch, so that all hosts are taken at once.
    type: list
    elements: raw
    required: true
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Set up one host first, then a quarter of them at a time
  hosts: macs
  serial: "{{ query('macos_setup.llm.batches', llama_cpp_serial | default(none)) }}"
  roles: [macos_setup.llm.llama_cpp]
"""

RETURN = r"""
_list:
  description: The batches, each a number or a share; empty for none.
  type: list
  elements: raw
"""

import re

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base import strict_json

BATCH = re.compile(r"[1-9][0-9]{0,8}%?\Z", re.ASCII)
EXPECTED = (
    "llama_cpp_serial: expected: a number of hosts from 1, a percentage such as 25%, or a list of these. "
    "Nothing was changed."
)


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms, variables=None, **kwargs):
        (value,) = terms
        batches = [] if value in (None, "") else _as_list(value)
        # Ansible would end with a traceback, or take all hosts at once.
        if not all(isinstance(batch, (int, str)) and BATCH.match(str(batch)) for batch in batches):
            raise AnsibleLookupError(EXPECTED)
        return batches


def _as_list(value):
    if isinstance(value, str) and "[" in value:
        try:
            value = strict_json.parse(value)
        except strict_json.NotStrict:
            raise AnsibleLookupError(EXPECTED) from None
    return list(value) if isinstance(value, (list, tuple)) else [value]
