#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Lets other hosts fetch the verified models of this one for a while."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: model_seed
short_description: Let other hosts fetch the verified models of this one for a while
version_added: 0.1.0
description:
  - Starts a small HTTP server on this host that offers exactly the files that M(macos_setup.llm.gguf_model) verified,
    under their SHA-256, to whoever knows a random token.
  - A file is served only while it still is the one that was verified.
  - The server ends when it is told to, or by itself when nobody fetches anything for a while.
options:
  state:
    description: Whether the server shall run.
    type: str
    choices: [started, stopped]
    required: true
  paths:
    description: The files to offer; those that were not verified are left out. For O(state=started).
    type: list
    elements: path
    default: []
  address:
    description:
      - The address of this host that the other hosts reach, to listen on that one alone.
      - Left empty, it is the one at which Ansible reaches the host over SSH, and loopback for other connections.
    type: str
    default: ""
  idle_seconds:
    description: The server ends by itself when nobody fetched anything for so long.
    type: int
    default: 300
  process:
    description: What O(state=started) returned as RV(process); that server is stopped.
    type: dict
attributes:
  check_mode:
    description: No server is started or stopped.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: A server that lives within a play is no change of the host, so it is not reported as one.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Offer the models of the first Mac
  macos_setup.llm.model_seed:
    state: started
    paths: [/Users/sam/llm-workspace/models/tiny.gguf]
  delegate_to: mac-01
  run_once: true
  register: seed

- name: Fetch from there, or else from the origin
  macos_setup.llm.gguf_model:
    name: tiny
    dest: /Users/sam/llm-workspace/models/tiny.gguf
    url: https://models.example.org/tiny.gguf
    seed: "{{ seed.offer }}"

- name: Offer them no longer
  macos_setup.llm.model_seed:
    state: stopped
    process: "{{ seed.process }}"
  delegate_to: mac-01
  run_once: true
"""

RETURN = r"""
offer:
  description: C(url), C(token) and C(files), for the option C(seed) of M(macos_setup.llm.gguf_model).
  type: dict
  returned: for O(state=started), null when there is nothing to offer and in check mode
process:
  description: The number of the server's process, and what tells it from a later one with that number.
  type: dict
  returned: for O(state=started), null when there is nothing to offer and in check mode
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils import model_seed
from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "paths": {"type": "list", "elements": "path", "default": []},
            "address": {"type": "str", "default": ""},
            "idle_seconds": {"type": "int", "default": 300},
            "process": {"type": "dict"},
        },
        required_if=[("state", "stopped", ["process"])],
        supports_check_mode=True,
    )
    try:
        result = (start if module.params["state"] == "started" else stop)(module.params, module.check_mode)
    except LlamaCppError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


def start(wanted, check_only):
    files = {} if check_only else model_seed.verified_files(wanted["paths"])
    if not files:
        return {"offer": None, "process": None}
    address = wanted["address"] or model_seed.own_address()
    url, token, process = model_seed.start(files, address, wanted["idle_seconds"])
    known = [{"sha256": sha256, "origin": facts["origin"]} for sha256, facts in files.items()]
    return {"offer": {"url": url, "token": token, "files": known}, "process": process}


def stop(wanted, check_only):
    if not check_only:
        model_seed.stop(wanted["process"])
    return {}


if __name__ == "__main__":
    main()
