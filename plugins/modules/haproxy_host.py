#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Takes a host out of rotation or puts it back; the work is done in ``module_utils/gateway/rotation.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_host
short_description: Take a host behind a gateway out of rotation, or put it back
version_added: 0.2.0
description:
  - V(drained) keeps new requests from a host, and waits until the requests that it has are answered. Requests that wait
    for it are sent to other hosts.
  - V(serving) has it asked again, and waits until its checks succeed.
  - Run it on the gateway, with C(delegate_to). M(macos_setup.llm.haproxy_reload) keeps the state; a restart of HAProxy
    loses it.
options:
  admin_socket:
    description: Socket of the process that serves (C(stats socket) in its configuration).
    type: path
    required: true
  master_socket:
    description: Socket of the master (option C(-S)).
    type: path
    required: true
  host:
    description: Name of the host at the gateway, which is that in the inventory.
    type: str
    required: true
  state:
    description: What the host is to be.
    type: str
    choices: [drained, serving]
    required: true
  keep_up:
    description:
      - How many other hosts with each of its models have to be up, or the module fails before it changes anything.
      - All of them if left out, and at least one.
    type: int
  drain_timeout:
    description: Seconds to wait for the answers that the host has begun.
    type: int
    default: 600
  drain_overdue:
    description:
      - What happens after O(drain_timeout). V(stop) fails; the host stays drained. V(continue) goes on with a warning,
        and what follows may end the answers.
    type: str
    choices: [stop, continue]
    default: stop
  check_interval:
    description: Seconds between two checks of HAProxy.
    type: int
    default: 2
  up_timeout:
    description: Seconds to wait until the gateway counts the host as up.
    type: int
    default: 300
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description:
      - Fails as it would without check mode, and does not wait.
      - Hosts that are drained count as up, since a play that drains one host after another puts them back first.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Have the gateway send this host nothing new
  macos_setup.llm.haproxy_host:
    admin_socket: /run/llama-cpp-gateway/admin.sock
    master_socket: /run/llama-cpp-gateway/master.sock
    host: "{{ inventory_hostname }}"
    state: drained
  delegate_to: gateway
"""

RETURN = r"""
running:
  description: How many answers the host still has.
  returned: when O(state=drained)
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import HAProxy
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.rotation import Rotation, kept_away

CHECKS = 2  # of HAProxy, after which its opinion of a host is its own again


def main():
    module = AnsibleModule(
        argument_spec={
            "admin_socket": {"type": "path", "required": True},
            "master_socket": {"type": "path", "required": True},
            "host": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "serving"], "required": True},
            "keep_up": {"type": "int"},
            "drain_timeout": {"type": "int", "default": 600},
            "drain_overdue": {"type": "str", "choices": ["stop", "continue"], "default": "stop"},
            "check_interval": {"type": "int", "default": 2},
            "up_timeout": {"type": "int", "default": 300},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    progress = Progress(given["progress_file"], "gateway")
    haproxy = HAProxy(given["admin_socket"], given["master_socket"])
    try:
        rotation = Rotation(haproxy, given["host"], lambda stage, detail: progress.update(stage, detail=detail))
        result = drained(module, haproxy, rotation) if given["state"] == "drained" else serving(module, rotation)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error, "cannot be asked; does the gateway run?", given["admin_socket"]))
    module.exit_json(**result)


def drained(module, haproxy, rotation):
    given = module.params
    changed, running = not rotation.is_away, 0
    # In check mode those stay drained that the play would have put back by now.
    for model in rotation.last_of(given["keep_up"], kept_away(haproxy.hosts()) if module.check_mode else ()):
        module.warn(f"No other host with {model} is up: requests for it are refused until {given['host']} is back.")
    if not module.check_mode:
        running = rotation.take_away(given["drain_timeout"], go_on=given["drain_overdue"] == "continue")
    if running:
        module.warn(f"{given['host']} still has {running} running answers, which may be cut off.")
    return {"changed": changed, "running": running}


def serving(module, rotation):
    given = module.params
    changed = rotation.is_kept_away
    if not module.check_mode:
        rotation.put_back(given["up_timeout"], CHECKS * given["check_interval"])
    return {"changed": changed}


if __name__ == "__main__":
    main()
