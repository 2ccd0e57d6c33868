#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Module ``engine_selftest``; the work is done in ``module_utils/engine/selftest.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_selftest
short_description: Prove that a build of llama.cpp computes correctly on this machine
version_added: 0.1.0
author: Contributors to macos_setup.llm (!UNKNOWN)
description:
  - Starts the given llama-server with the self-test model on a free loopback port, asks it every known question
    greedily, and compares each answer to the letter. One wrong letter fails the module.
  - The server has a private home directory and none of the environment's C(LLAMA_*) variables, needs no network, and is
    gone when the module ends, also when that is killed.
attributes:
  check_mode:
    support: full
    description:
      - The questions are really asked, since that changes nothing.
      - When the program, the model or the answers are not there yet, as in the check of a bare host, there is nothing
        to ask. That is reported with RV(skipped=true) and is no failure.
  diff_mode:
    support: none
    description: Nothing is changed, so there is nothing to show.
  idempotent:
    support: full
options:
  server:
    description: Path of the llama-server binary.
    type: path
    required: true
  model:
    description: Path of the self-test model, C(selftest.gguf).
    type: path
    required: true
  answers:
    description: Path of the known answers of that model, C(answers.json).
    type: path
    required: true
  device:
    description:
      - Device to compute on, such as V(MTL0) for Metal. The module fails when the program does not offer it.
      - V(none) computes on the CPU. Without this option llama-server chooses.
    type: str
  timeout:
    description: Seconds to wait until the server is ready, and after that for each answer.
    type: int
    default: 60
  progress_file:
    description: File in which the progress is reported to the controller.
    type: path
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
  type: int
  returned: success, unless skipped
  sample: 109
correct:
  description: Number of answers that are right to the letter; the same as RV(asked), since a wrong one is a failure.
  type: int
  returned: success, unless skipped
  sample: 109
tokens_per_second:
  description: How fast the answers came. The model is tiny, so this compares builds, not models.
  type: float
  returned: success, unless skipped
  sample: 2400.5
devices:
  description: Devices that the program can compute on besides the CPU, by name.
  type: dict
  returned: success, unless skipped
  sample: {"MTL0": "Apple M2 (10922 MiB, 10922 MiB free)"}
summary:
  description: All of the above in one dict, as O(macos_setup.llm.engine_release#module:selftest) takes it.
  type: dict
  returned: success, unless skipped
skipped:
  description: Whether there was nothing to ask; only in check mode.
  type: bool
  returned: when nothing was asked
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.selftest import check_engine


def main():
    module = AnsibleModule(
        argument_spec={
            "server": {"type": "path", "required": True},
            "model": {"type": "path", "required": True},
            "answers": {"type": "path", "required": True},
            "device": {"type": "str"},
            "timeout": {"type": "int", "default": 60},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    parameters = dict(module.params)
    progress = Progress(parameters.pop("progress_file"), "self-test")
    missing = [parameters[name] for name in ("server", "model", "answers") if not os.path.exists(parameters[name])]
    if module.check_mode and missing:
        module.exit_json(changed=False, skipped=True, msg=f"Nothing to ask yet: {', '.join(missing)} not there.")
    try:
        summary = check_engine(**parameters, progress=progress)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(changed=False, summary=summary, **summary)


if __name__ == "__main__":
    main()
