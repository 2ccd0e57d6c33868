#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Has HAProxy serve its configuration; the work is done in ``module_utils/gateway/haproxy.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_reload
short_description: Reload HAProxy if it serves another configuration than the one in place
version_added: 0.2.0
description:
  - Asks the process that serves for the fingerprint of its configuration. If it is another one, tells the master to
    start a process with the configuration in place, and waits until it serves. Connections are never refused meanwhile,
    and the process before it ends with the last of its answers.
  - Since the running process is asked, an earlier run that ended between the change and the reload is made good.
options:
  admin_socket:
    description: Socket of the process that serves (C(stats socket) in its configuration).
    type: path
    required: true
  master_socket:
    description: Socket of the master (option C(-S)).
    type: path
    required: true
  fingerprint:
    description: Fingerprint of the configuration, as the configuration sets it in the environment of HAProxy.
    type: str
    required: true
  unit:
    description:
      - Fingerprint of the unit of systemd in place, as the unit sets it in the environment of HAProxy.
      - If HAProxy was started by another one, it is not reloaded, and RV(restart) is true.
    type: str
attributes:
  check_mode:
    description: Tells whether a reload is due. A gateway that does not run yet needs none.
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
- name: Have the gateway serve its configuration
  macos_setup.llm.haproxy_reload:
    admin_socket: /run/llama-cpp-gateway/admin.sock
    master_socket: /run/llama-cpp-gateway/master.sock
    fingerprint: "{{ plan.reload.fingerprint }}"
"""

RETURN = r"""
restart:
  description: Whether HAProxy has to be restarted, which no reload can replace.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import HAProxy


def main():
    module = AnsibleModule(
        argument_spec={
            "admin_socket": {"type": "path", "required": True},
            "master_socket": {"type": "path", "required": True},
            "fingerprint": {"type": "str", "required": True},
            "unit": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    haproxy = HAProxy(given["admin_socket"], given["master_socket"])
    try:
        restart = given["unit"] is not None and haproxy.restart_is_due(given["unit"])
        changed = restart or haproxy.converge(given["fingerprint"], module.check_mode)
    except LlamaCppError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, restart=restart)


if __name__ == "__main__":
    main()
