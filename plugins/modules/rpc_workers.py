#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Asks RPC workers; the work is done in ``module_utils/runner/prerequisites.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rpc_workers
short_description: Ask RPC workers of llama.cpp whether they are there and how much memory they offer
version_added: 0.2.0
description:
  - Speaks the protocol of C(ggml-rpc-server), so an open port alone is no answer. Nothing is changed.
  - A worker serves one connection at a time. Those that the server of this host is using are not asked; the
    configuration of its runner says what they offered.
options:
  workers:
    description: MiB that a worker is declared to offer, or null for all that it has, by its address and port.
    type: dict
    required: true
  runner_config:
    description: Configuration file of the runner of this host's server. It need not exist.
    type: path
  state_file:
    description: File in which that runner notes what runs. It need not exist.
    type: path
  timeout:
    description: Seconds in which all workers have to answer.
    type: float
    default: 15
  log_file:
    description: Log of a worker of this host, of which a failure shows the end.
    type: path
  device:
    description: Device that the server of this host computes on. Of V(MTL0) the memory is told, too.
    type: str
  wired_limit_mb:
    description: MiB that this play allows Metal to use, or 0.
    type: int
    default: 0
  sysctl:
    description: Path of C(sysctl).
    type: path
    default: /usr/sbin/sysctl
attributes:
  check_mode:
    description: A missing worker, which this play may be about to set up, is a warning.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The module changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Ask two workers
  macos_setup.llm.rpc_workers:
    workers: {"169.254.10.2:50052": null, "169.254.10.3:50052": 98304}
"""

RETURN = r"""
offers:
  description: MiB of each device, by worker.
  returned: success
  type: dict
  sample: {"169.254.10.2:50052": [98304]}
missing:
  description: Why a worker is missing, by worker.
  returned: success
  type: dict
own_mb:
  description: MiB that Metal may use on this host; null on any other.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.log_tail import quote_log
from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import MIB
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.log_causes import SHOWN_LINES
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import hardware
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.prerequisites import offers

METAL = "MTL0"


def main():
    module = AnsibleModule(
        argument_spec={
            "workers": {"type": "dict", "required": True},
            "runner_config": {"type": "path"},
            "state_file": {"type": "path"},
            "timeout": {"type": "float", "default": 15},
            "log_file": {"type": "path"},
            "device": {"type": "str"},
            "wired_limit_mb": {"type": "int", "default": 0},
            "sysctl": {"type": "path", "default": hardware.SYSCTL},
        },
        supports_check_mode=True,
    )
    given = module.params
    found, missing = offers(
        given["workers"], given["runner_config"], given["state_file"], 0 if module.check_mode else given["timeout"]
    )
    if missing:
        lines = [f"  {endpoint}: {why}" for endpoint, why in missing.items()]
        text = "\n".join(["RPC workers do not answer; the service here was not touched.", *lines, remedy(given)])
        if not module.check_mode:
            module.fail_json(msg=text)
        module.warn(text)
    module.exit_json(changed=False, offers=found, missing=missing, own_mb=own_mb(given))


def remedy(given):
    if given["log_file"]:
        return quote_log(given["log_file"], SHOWN_LINES)
    return "Set the workers up (ansible-playbook playbooks/rpc.yml does both), then run the play again."


def own_mb(given):
    """MiB that the server here may use of its own, by what does not depend on whether an engine is installed yet."""
    found = hardware.read_hardware(given["sysctl"]) if given["device"] == METAL else None
    if found is None or found.memory is None:
        return None
    return hardware.metal_room(found, None, given["wired_limit_mb"]).bytes // MIB


if __name__ == "__main__":
    main()
