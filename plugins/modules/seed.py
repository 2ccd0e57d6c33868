#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Lets other hosts fetch the verified models of this one, or a release of the engine, for a while."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: seed
short_description: Serve models and a release of llama.cpp to other hosts
version_added: 0.1.0
description:
  - Starts a small HTTP server on this host. It serves the models that M(macos_setup.llm.gguf_model) verified and the
    programs of a release that M(macos_setup.llm.engine_release) installed, each under its SHA-256, to clients with a
    random token.
  - A file that has changed since is not served.
  - The server ends with O(state=stopped), or by itself after O(idle_seconds) without a request.
options:
  state:
    description: Whether the server runs.
    type: str
    choices: [started, stopped]
    required: true
  models:
    description: Paths of the models to serve. A model without a valid verification record is left out.
    type: list
    elements: path
    default: []
  engine_dir:
    description: Directory that holds all releases.
    type: path
  release:
    description: Name of the release to serve. Ignored if it is not installed.
    type: str
  address:
    description:
      - Address of this host to listen on, which the other hosts must reach.
      - If empty, the address of Ansible's SSH connection, or loopback for other connections.
    type: str
    default: ""
  idle_seconds:
    description: Seconds without a request after which the server ends by itself.
    type: int
    default: 300
  process:
    description: Server to stop, as O(state=started) returned it in RV(process).
    type: dict
attributes:
  check_mode:
    description: No server is started or stopped.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The server is a part of the play, not of the host, so it is not reported as a change.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Offer the models of the first Mac
  macos_setup.llm.seed:
    state: started
    models: [/Users/sam/llm-workspace/models/tiny.gguf]
  delegate_to: mac-01
  run_once: true
  register: seed

- name: Fetch from there, or else from the origin
  macos_setup.llm.gguf_model:
    files:
      - name: tiny
        dest: /Users/sam/llm-workspace/models/tiny.gguf
        source:
          url: https://models.example.org/tiny.gguf
    seed: "{{ seed.offer }}"

- name: Offer them no longer
  macos_setup.llm.seed:
    state: stopped
    process: "{{ seed.process }}"
  delegate_to: mac-01
  run_once: true
"""

RETURN = r"""
offer:
  description:
    - C(url), C(token) and C(files), for the option C(seed) of M(macos_setup.llm.gguf_model) and
      M(macos_setup.llm.engine_release).
  type: dict
  returned: for O(state=started), null when there is nothing to offer and in check mode
process:
  description: The number of the server's process, and what tells it from a later one with that number.
  type: dict
  returned: for O(state=started), null when there is nothing to offer and in check mode
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.fleet import offers, seed_process


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "models": {"type": "list", "elements": "path", "default": []},
            "engine_dir": {"type": "path"},
            "release": {"type": "str"},
            "address": {"type": "str", "default": ""},
            "idle_seconds": {"type": "int", "default": 300},
            "process": {"type": "dict"},
        },
        required_if=[("state", "stopped", ["process"])],
        required_by={"release": ["engine_dir"]},
        supports_check_mode=True,
    )
    try:
        result = (start if module.params["state"] == "started" else stop)(module.params, module.check_mode)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(changed=False, **result)


def start(wanted, check_only):
    files = [] if check_only else offered(wanted)
    if not files:
        return {"offer": None, "process": None}
    address = wanted["address"] or seed_process.own_address()
    served = {file.sha256: file.served for file in files}
    url, token, process = seed_process.start(served, address, wanted["idle_seconds"])
    told = [{"sha256": file.sha256, **file.told} for file in files]
    return {"offer": {"url": url, "token": token, "files": told}, "process": process}


def offered(wanted):
    programs = offers.programs(wanted["engine_dir"], wanted["release"]) if wanted["release"] else []
    return offers.verified_models(wanted["models"]) + programs


def stop(wanted, check_only):
    if not check_only:
        seed_process.stop(wanted["process"])
    return {}


if __name__ == "__main__":
    main()
