#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_lock
short_description: Record what the sources of a configuration turned out to be
version_added: 0.1.0
description:
  - Writes the lock file beside a configuration file, on the controller. It holds revision, size and SHA-256 of every
    model for which neither the configuration nor the catalog knows a SHA-256, and the commit of a tag of llama.cpp.
  - Entries of what no host of this play has are kept. Nothing on the hosts is read or changed.
options:
  path:
    description: Path of the lock file on the controller.
    type: path
    required: true
  record:
    description: What is recorded, as the hosts of the play tell it; the commit of the engine's tag, or the models.
    type: str
    required: true
    choices: [engine, models]
attributes:
  check_mode:
    description: Says what would be written. What only a download can tell is marked.
    support: full
  diff_mode:
    description: Shows the file before and after.
    support: full
  idempotent:
    description: A second run with the same models changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Record what the models are
  macos_setup.llm.model_lock:
    path: /etc/llm/llm_config.lock.json
    record: models
  throttle: 1
"""

RETURN = r"""
path:
  description: Path of the lock file.
  returned: success
  type: str
"""
