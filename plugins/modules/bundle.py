#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Packs an installation for hosts without a network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle
short_description: Pack an installation for hosts without a network
version_added: 0.1.0
description:
  - Writes the current release of llama.cpp, models, Python packages, licences and the configuration into one tar
    archive, with a SHA-256 of every file.
  - The bundle is for hosts of the same system and processor, and for the version of Python that this module runs with.
options:
  path:
    description: The bundle, as an absolute path.
    type: path
    required: true
  engine_dir:
    description: Directory that holds the releases.
    type: path
    required: true
  models:
    description: Files of the models.
    type: list
    elements: path
    default: []
  requirements:
    description: Contents of the hash-pinned requirements files whose packages are packed as wheels.
    type: list
    elements: str
    default: []
  texts:
    description: By name in the bundle, the text of further files.
    type: dict
    default: {}
  plan:
    description: The plan of an installation, from which the action plugin takes the options below but O(path).
    type: dict
  config_file:
    description: The configuration file that the O(plan) was made of, on the controller.
    type: path
  progress_file:
    description: Where progress is written; set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Says whether a bundle would be written.
    support: full
  diff_mode:
    description: Shows what is in the bundle.
    support: full
  idempotent:
    description: A bundle with the same content is read, and not written again if not a bit of it is damaged.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Pack what runs here
  macos_setup.llm.bundle:
    path: /Volumes/stick/llm-bundle.tar
    engine_dir: /opt/llm/engine
    models: [/opt/llm/models/tiny.gguf]
    requirements:
      - "{{ lookup('ansible.builtin.file', 'requirements.txt') }}"
"""

RETURN = r"""
path:
  description: The bundle.
  returned: success
  type: str
release:
  description: Name of the release in it.
  returned: success
  type: str
models:
  description: Filenames of the models in it.
  returned: success
  type: list
  elements: str
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.offline import bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.content import BundleContent


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "engine_dir": {"type": "path", "required": True},
            "models": {"type": "list", "elements": "path", "default": []},
            "requirements": {"type": "list", "elements": "str", "default": []},
            "texts": {"type": "dict", "default": {}},
            # Both are taken by the action plugin.
            "plan": {"type": "dict"},
            "config_file": {"type": "path"},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        bundle.require_absolute(given["path"])
        content = BundleContent(given["engine_dir"], given["models"], given["requirements"], given["texts"])
        progress = Progress(given["progress_file"], subject=given["path"])
        facts = content.facts()
        before = bundle.intact_facts(given["path"], facts, progress)
        if before != facts and not module.check_mode:
            content.pack(given["path"], progress)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error, path=given["path"]))
    module.exit_json(
        changed=before != facts,
        path=given["path"],
        release=facts["release"],
        models=sorted(facts["models"]),
        diff={"before": picture(before), "after": picture(facts)},
    )


def picture(facts):
    return json.dumps(facts, indent=2, sort_keys=True) + "\n" if facts else ""


if __name__ == "__main__":
    main()
