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
  state:
    description:
      - V(present) writes the bundle.
      - V(probed) only looks into it, and refuses one that is not for this host.
    type: str
    default: present
    choices: [present, probed]
  engine_dir:
    description: Directory that holds the releases, for O(state=present).
    type: path
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

- name: See what is in it
  macos_setup.llm.bundle:
    state: probed
    path: /Volumes/stick/llm-bundle.tar
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
engine:
  description: The engine that stands for this release, as M(macos_setup.llm.engine_release) takes it.
  returned: success
  type: dict
models:
  description: Filenames of the models in it.
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
