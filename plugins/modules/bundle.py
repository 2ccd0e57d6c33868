#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Packs an installation for hosts without network access."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle
short_description: Pack an installation for hosts without network access
version_added: 0.1.0
description:
  - Writes the current release of llama.cpp, the models, the Python packages, the licenses, and the configuration into
    one tar archive, with the SHA-256 of every file.
  - The bundle can be installed on hosts with the same operating system and processor architecture, and with the Python
    version that this module runs with.
options:
  path:
    description: Absolute path of the bundle.
    type: path
    required: true
  engine_dir:
    description: Directory that holds the releases.
    type: path
    required: true
  models:
    description: Paths of the model files to pack.
    type: list
    elements: path
    default: []
  requirements:
    description: Contents of hash-pinned requirements files. Their packages are packed as wheels.
    type: list
    elements: str
    default: []
  texts:
    description: Further files to pack, as text by name in the bundle.
    type: dict
    default: {}
  plan:
    description: The plan of an installation, from which the action plugin takes the options below but O(path).
    type: dict
  config_file:
    description: The configuration file that the O(plan) was made of, on the controller.
    type: path
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Reports whether a bundle would be written.
    support: full
  diff_mode:
    description: Shows the content of the bundle.
    support: full
  idempotent:
    description: A bundle that has the same content and is undamaged is not written again.
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
  description: Path of the bundle.
  returned: success
  type: str
release:
  description: Name of the packed release.
  returned: success
  type: str
models:
  description: File names of the packed models.
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
