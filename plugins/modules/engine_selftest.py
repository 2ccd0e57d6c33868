#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Verifies the computations of a llama.cpp build."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_selftest
short_description: Verify that a llama.cpp build computes correctly on this host
version_added: 0.1.0
description:
  - Starts llama-server with the self-test model on a free loopback port, asks every known question with greedy
    sampling, and compares the answers. A single wrong character is a failure.
  - Every matrix of the model has another tensor type. The questions are divided among the default settings, flash
    attention off, and a KV cache of Q8_0. After a wrong answer, each type and setting is tested alone, and the failure
    names those that compute wrongly.
  - The server runs with a private home directory and without the C(LLAMA_*) variables of the environment, and needs no
    network. It is stopped when the module ends, even if the module is killed.
options:
  server:
    description: Path of the llama-server binary.
    type: path
    required: true
  model:
    description: Path of the self-test model, C(selftest.gguf). C(reference.gguf) belongs into the same directory.
    type: path
    required: true
  answers:
    description: Path of the known answers of the model, C(answers.json).
    type: path
    required: true
  device:
    description:
      - Device to compute on, such as V(MTL0) for Metal. The module fails if O(server) does not offer it.
      - V(none) computes on the CPU. By default, llama-server chooses the device.
    type: str
  engine_dir:
    description: Directory that holds the releases of llama.cpp.
    type: path
  release:
    description:
      - Name of the release in O(engine_dir) that the binary belongs to. When it passes, the test is noted in it,
        and only a release with such a note is put in service. If no release is current yet, it becomes the current one.
      - If omitted, nothing is changed.
    type: str
  timeout:
    description: Seconds to wait until the server is ready, and again for each answer.
    type: int
    default: 60
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description:
      - The test runs in check mode too, but is not noted.
      - If the binary, the model, or the answers do not exist yet, the module succeeds with RV(skipped=true).
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The test is made and noted each time.
    support: none
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: The new build computes correctly on the GPU
  macos_setup.llm.engine_selftest:
    server: ~/llm-workspace/engine/current/bin/llama-server
    model: ~/llm-workspace/engine/selftest/selftest.gguf
    answers: ~/llm-workspace/engine/selftest/answers.json
    device: MTL0
"""

RETURN = r"""
asked:
  description: Number of questions.
  returned: success, unless skipped
  type: int
  sample: 109
correct:
  description: Number of correct answers. Always equal to RV(asked), since a wrong answer is a failure.
  returned: success, unless skipped
  type: int
  sample: 109
tokens_per_second:
  description: Speed of the answers. The model is tiny, so this is for comparing builds, not models.
  returned: success, unless skipped
  type: float
  sample: 2400.5
devices:
  description: Devices other than the CPU that O(server) offers, by name.
  returned: success, unless skipped
  type: dict
  sample: {"MTL0": "Apple M2 (10922 MiB, 10922 MiB free)"}
skipped:
  description: Whether the test was skipped. V(true) only in check mode.
  returned: when the test was skipped
  type: bool
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.selftest import check_engine


def main():
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "path", "required": True},
            "model": {"type": "path", "required": True},
            "answers": {"type": "path", "required": True},
            "device": {"type": "str"},
            "engine_dir": {"type": "path"},
            "release": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
            "progress_file": {"type": "path"},
        },
        required_together=[("engine_dir", "release")],
        supports_check_mode=True,
    )
    parameters = dict(module.params)
    engine_dir, release = parameters.pop("engine_dir"), parameters.pop("release")
    progress = Progress(parameters.pop("progress_file"), "self-test")
    missing = [parameters[name] for name in ("server", "model", "answers") if not os.path.exists(parameters[name])]
    if module.check_mode and missing:
        words = f"Nothing to ask yet: {', '.join(missing)} not there."
        module.exit_json(changed=release is not None, skipped=True, msg=words)
    try:
        summary = check_engine(**parameters, progress=progress)
        if release and not module.check_mode:
            store.admit(engine_dir, release, summary)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(changed=release is not None, **summary)


if __name__ == "__main__":
    main()
