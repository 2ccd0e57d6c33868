#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
module: host_fit
short_description: Refuse models that do not fit into a host's memory and disk, and tell what may keep its service away
version_added: 0.1.0
description:
  - Compares what every model needs (weights, context, working memory, what is loaded beside it) with what the host has
    for it. On a Mac that computes with Metal that is the part of the memory that its GPU may use, elsewhere all of the
    memory. Where several models may be loaded at the same time, so is what the largest of them need together.
  - Both numbers are read, on the safe side, from the header of the GGUF file and from sysctl. A model that does not fit
    by these is judged by the engine, if it is installed (C(llama-server --list-devices), and C(llama-fit-params)
    beside it).
  - A file that is not there yet is judged by its size. All that is to be downloaded onto a disk has to have room there.
  - On a Mac it also says what would lock the disk, leave the machine off, or make it sleep, with the command that
    changes it.
author:
  - contributors to macos_setup.llm (@macos-setup)
attributes:
  check_mode:
    description: The module only looks.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Nothing is ever changed.
    support: full
options:
  models:
    description: The models.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the model in the configuration.
        type: str
        required: true
      path:
        description: Path of the GGUF file, the first one of several. One that is not there yet is no failure.
        type: path
        required: true
      context_size:
        description: Context window in tokens. If omitted, llama-server takes what fits.
        type: int
      bytes:
        description: Size that the file, or all of them, will have. Counts as long as one is not there yet.
        type: int
      companions:
        description:
          - What is loaded beside it, a projector, a draft model, adapters. Counts with its size.
          - A draft model's context, of as many tokens, counts too, as far as its header can be read.
        type: list
        elements: dict
        default: []
        suboptions:
          path:
            description: Path of the file.
            type: path
            required: true
          bytes:
            description: Size that it will have. Counts as long as it is not there yet.
            type: int
          role:
            description: What it is to the model.
            type: str
            choices: [mmproj, draft_model, lora]
      purpose:
        description: What the model is for. One for the same purpose is named when it does not fit.
        type: str
  max_loaded:
    description: How many of the models may be loaded at the same time.
    type: int
    default: 1
  downloads:
    description: The files that are to be downloaded, unless they are there.
    type: list
    elements: dict
    default: []
    suboptions:
      names:
        description: What needs it, as it is called below C(models) in the configuration.
        type: list
        elements: str
        required: true
      path:
        description: Path that it will have.
        type: path
        required: true
      bytes:
        description: Size that it will have.
        type: int
      sha256:
        description: SHA-256 that it will have.
        type: str
  catalog:
    description: Models that can be had instead of one that does not fit.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name in the catalog.
        type: str
        required: true
      bytes:
        description: Size of the file.
        type: int
        required: true
      purpose:
        description: What the model is for.
        type: str
        required: true
  misfit:
    description: What to do when something is known not to fit. V(warn) shows the same words as a warning.
    type: str
    choices: [fail, warn]
    default: fail
  parallel:
    description: Number of slots that share the context. If omitted, llama-server chooses.
    type: int
  server:
    description: Path of the llama-server binary. It need not be there yet.
    type: path
  device:
    description: Device that the server is to compute on, V(MTL0) for Metal. If omitted, that is the CPU.
    type: str
  system:
    description: Kind of host.
    type: str
    choices: [Darwin, Linux]
    required: true
  memory_mb:
    description: Memory of the host in MiB. If omitted, all that it has.
    type: int
  wired_limit_mb:
    description:
      - How much memory, in MiB, the GPU is to be allowed to use (C(iogpu.wired_limit_mb)); the models are compared with
        that. More than is safe on this Mac is refused.
      - If omitted or 0, what is in force now.
    type: int
  scope:
    description: Whose service it is, a user's agent or a daemon of the system. If omitted, there is no advice.
    type: str
    choices: [user, system]
  user:
    description: The account that the service belongs to. Needed together with O(scope).
    type: str
  keep_awake:
    description: Whether the service keeps the host awake while it runs.
    type: bool
    default: false
  sysctl:
    description: Path of sysctl.
    type: path
    default: /usr/sbin/sysctl
  pmset:
    description: Path of pmset.
    type: path
    default: /usr/bin/pmset
  fdesetup:
    description: Path of fdesetup.
    type: path
    default: /usr/bin/fdesetup
  login_window:
    description: Path of the login window's settings, which name the user who is logged in at boot.
    type: path
    default: /Library/Preferences/com.apple.loginwindow.plist
  wired_limit_plist:
    description: Path of the job that sets O(wired_limit_mb) at boot, see M(macos_setup.llm.mac_settings).
    type: path
    default: /Library/LaunchDaemons/com.llama.wired-limit.plist
  mac_record:
    description: File in which that module notes what else it changes.
    type: path
    default: /Library/Application Support/macos_setup.llm/settings.json
"""

EXAMPLES = r"""
- name: See what fits
  macos_setup.llm.host_fit:
    system: Darwin
    device: MTL0
    server: /Users/sam/llm-workspace/engine/current/bin/llama-server
    models:
      - name: llama-70b
        path: /Users/sam/llm-workspace/models/llama-70b.gguf
        context_size: 32768
    scope: system
    user: sam
  register: host_fit
"""

RETURN = r"""
hardware:
  description: What the host is made of; null where that is unknown. The memory is in bytes.
  type: dict
  returned: success
  sample: {chip: Apple M1 Max, memory: 68719476736, performance_cores: 8, translated: 0, wired_limit_mb: 0}
available:
  description: Bytes that a model may take, before the 1 GiB that llama-server leaves free.
  type: int
  returned: success
  sample: 51539607552
models:
  description: For every model, in the order given, what it needs and whether that is there.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the model.
      type: str
    there:
      description: Whether all its files are there.
      type: bool
    needed:
      description: Bytes that it needs, with what is beside it; null when that is not known.
      type: int
    fits:
      description: Whether it fits; null when that is not known.
      type: bool
    words:
      description: All of that for people, with what to do when it does not fit.
      type: str
  sample:
    - name: llama-70b
      there: true
      needed: 53379858432
      fits: false
      words: >-
        models.llama-70b needs 49.7 GiB (weights 39.6, context_size 32768 takes 10.0, working memory 0.3); Metal on this
        Mac allows 48.0 of 64.0 GiB, of which llama-server leaves 1.0 free. With context_size 16384 it needs 44.8 GiB
        and fits. Or choose a smaller quantisation.
together:
  description:
    - C(there), C(needed), C(fits) and C(words), as for one model, of the largest that may be loaded at the same time.
    - Null when there are no two of them, or one does not fit by itself.
  type: dict
  returned: success
problem:
  description: Everything that is known not to fit, with what to do; null when there is nothing.
  type: str
  returned: success
mac_changed:
  description: Whether M(macos_setup.llm.mac_settings) has changed something of this Mac and not taken it back yet.
  type: bool
  returned: success
advice:
  description: What would keep the service from being there, a sentence each, with the command that changes it.
  type: list
  elements: str
  returned: success
  sample: ["After a power failure this Mac stays off. To have it start again: sudo pmset -a autorestart 1"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.capacity.report import look
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import settings


def main():
    module = AnsibleModule(
        argument_spec={
            "models": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                    "context_size": {"type": "int"},
                    "bytes": {"type": "int"},
                    "companions": {
                        "type": "list",
                        "elements": "dict",
                        "default": [],
                        "options": {
                            "path": {"type": "path", "required": True},
                            "bytes": {"type": "int"},
                            "role": {"type": "str", "choices": ["mmproj", "draft_model", "lora"]},
                        },
                    },
                    "purpose": {"type": "str"},
                },
            },
            "max_loaded": {"type": "int", "default": 1},
            "downloads": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "names": {"type": "list", "elements": "str", "required": True},
                    "path": {"type": "path", "required": True},
                    "bytes": {"type": "int"},
                    "sha256": {"type": "str"},
                },
            },
            "catalog": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "bytes": {"type": "int", "required": True},
                    "purpose": {"type": "str", "required": True},
                },
            },
            "misfit": {"type": "str", "choices": ["fail", "warn"], "default": "fail"},
            "parallel": {"type": "int"},
            "server": {"type": "path"},
            "device": {"type": "str"},
            "system": {"type": "str", "choices": ["Darwin", "Linux"], "required": True},
            "memory_mb": {"type": "int"},
            "wired_limit_mb": {"type": "int"},
            "scope": {"type": "str", "choices": ["user", "system"]},
            "user": {"type": "str"},
            "keep_awake": {"type": "bool", "default": False},
            "sysctl": {"type": "path", "default": "/usr/sbin/sysctl"},
            "pmset": {"type": "path", "default": "/usr/bin/pmset"},
            "fdesetup": {"type": "path", "default": "/usr/bin/fdesetup"},
            "login_window": {"type": "path", "default": "/Library/Preferences/com.apple.loginwindow.plist"},
            "wired_limit_plist": {"type": "path", "default": "/Library/LaunchDaemons/com.llama.wired-limit.plist"},
            "mac_record": {"type": "path", "default": settings.RECORD},
        },
        required_by={"scope": ("user",)},
        supports_check_mode=True,
    )
    misfit = module.params.pop("misfit")
    try:
        found = look(**module.params)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    if found["problem"] and misfit == "fail":
        module.fail_json(msg=found["problem"], **found)
    if found["problem"]:
        module.warn(found["problem"])
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
