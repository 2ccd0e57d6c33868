# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How the modules that can be served by another host document it. What the offer is for stands in each of them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  seed:
    type: dict
    suboptions:
      url:
        description: Base URL. Each file is served under its SHA-256.
        type: str
        required: true
      token:
        description: Token that the server requires.
        type: str
        required: true
      files:
        description: C(sha256) of each file, with the C(name) of a program or the C(origin) of a model.
        type: list
        elements: dict
        required: true
"""
