#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Tells how the hosts behind a gateway are; the work is done in ``module_utils/gateway/haproxy.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_info
short_description: Tell how the hosts behind a gateway are
version_added: 0.2.0
description:
  - Asks the HAProxy that serves. Nothing is changed.
options:
  admin_socket:
    description: Socket of the process that serves (C(stats socket) in its configuration).
    type: path
    required: true
attributes:
  check_mode:
    description: The module changes nothing.
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
- name: See which hosts are drained
  macos_setup.llm.haproxy_info:
    admin_socket: /run/llama-cpp-gateway/admin.sock
  register: gateway
"""

RETURN = r"""
hosts:
  description: Name of a host -> backend of a model -> state in HAProxy's words.
  returned: success
  type: dict
  sample: {"mini-1": {"model_tinyllama": "UP"}}
drained:
  description: The hosts that are kept from new requests on purpose.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import HAProxy
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.rotation import kept_away


def main():
    module = AnsibleModule({"admin_socket": {"type": "path", "required": True}}, supports_check_mode=True)
    socket = module.params["admin_socket"]
    try:
        hosts = HAProxy(socket).hosts()
    except EXPECTED as error:
        module.fail_json(msg=in_words(error, "cannot be asked; does the gateway run?", socket))
    module.exit_json(changed=False, hosts=hosts, drained=kept_away(hosts))


if __name__ == "__main__":
    main()
