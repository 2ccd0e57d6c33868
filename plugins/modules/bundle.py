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
  state:
    description:
      - V(present) writes the bundle.
      - V(probed) reads it, and fails if it cannot be installed on this host.
    type: str
    default: present
    choices: [present, probed]
  engine_dir:
    description: Directory that holds the releases. Required if O(state=present).
    type: path
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

- name: See what is in it
  macos_setup.llm.bundle:
    state: probed
    path: /Volumes/stick/llm-bundle.tar
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
engine:
  description: The packed release as a value for O(macos_setup.llm.engine_release#module:engine).
  returned: success
  type: dict
models:
  description: File names of the packed models.
  returned: success
  type: list
  elements: str
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, LlamaCppError, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import release as engine
from ansible_collections.macos_setup.llm.plugins.module_utils.offline import bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.content import BundleContent


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "default": "present", "choices": ["present", "probed"]},
            "engine_dir": {"type": "path"},
            "models": {"type": "list", "elements": "path", "default": []},
            "requirements": {"type": "list", "elements": "str", "default": []},
            "texts": {"type": "dict", "default": {}},
            "progress_file": {"type": "path"},
        },
        required_if=[("state", "present", ["engine_dir"])],
        supports_check_mode=True,
    )
    given = module.params
    try:
        if not os.path.isabs(given["path"]):
            raise LlamaCppError(
                f'llama_cpp_bundle: "{given["path"]}" is not an absolute path on the host. Nothing was changed.'
            )
        if given["state"] == "probed":
            before = facts = bundle.Bundle(given["path"]).facts
        else:
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
        engine={"source": engine.BUNDLE, "version": facts["release"], "targets": [], "options": {}},
        models=sorted(facts["models"]),
        diff={"before": picture(before), "after": picture(facts)},
    )


def picture(facts):
    return json.dumps(facts, indent=2, sort_keys=True) + "\n" if facts else ""


if __name__ == "__main__":
    main()
