#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_lock
short_description: Record revisions and checksums of models in a lock file
version_added: 0.1.0
description:
  - Writes the lock file of a configuration file, on the controller. It records revision, size, and SHA-256 of every
    model for which neither the configuration nor the catalog has a SHA-256, and the commit of a llama.cpp tag.
  - Entries for models and tags that no host of the play uses are kept. The hosts are neither read nor changed.
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
    description: Reports the changes without making them. Values that need a download are marked as unknown.
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
