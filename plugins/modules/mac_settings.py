#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
module: mac_settings
short_description: Changes what of a Mac itself its owner asks to be changed for a service
version_added: 0.1.0
description:
  - Lets the GPU use more of the memory than macOS does by itself (C(iogpu.wired_limit_mb)), now and from every boot on.
  - Has the Mac start again after a power failure (C(pmset autorestart)).
  - Needs to run as root, unless there is nothing to change.
author:
  - contributors to macos_setup.llm (@macos-setup-llm)
attributes:
  check_mode:
    description: Tells what would be done and does none of it.
    support: full
  diff_mode:
    description: Shows the change of the plist, of its owner and mode, and of each setting.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
options:
  wired_limit_mb:
    description:
      - How much memory, in MiB, the GPU may use. More than is safe on this Mac is refused.
      - V(0) takes a limit back that this module has set, so that macOS decides again; any other limit is left alone.
    type: int
    default: 0
  content:
    description: The plist of the job that sets the limit at boot, as text. Needed unless O(wired_limit_mb=0).
    type: str
  autorestart:
    description:
      - Whether the Mac is to start again by itself after a power failure.
      - V(false) takes back what this module has turned on, as O(record) tells; anything else is left as it is.
      - A Mac that does not know the setting, such as one with a battery, is left alone.
    type: bool
    default: false
  record:
    description: File of root's that notes what is turned on, so that it can be taken back.
    type: path
    default: /Library/Application Support/macos_setup.llm/settings.json
  plist:
    description: Path of that plist. Its name and its C(Label) must agree.
    type: path
    default: /Library/LaunchDaemons/com.llama.wired-limit.plist
  sysctl:
    description: Path of sysctl.
    type: path
    default: /usr/sbin/sysctl
  pmset:
    description: Path of pmset.
    type: path
    default: /usr/bin/pmset
"""

EXAMPLES = r"""
- name: Give the GPU 56 of 64 GiB
  become: true
  macos_setup.llm.mac_settings:
    wired_limit_mb: 57344
    content: "{{ lookup('ansible.builtin.template', 'com.llama.wired-limit.plist.j2') }}"

- name: Take back what was changed
  become: true
  macos_setup.llm.mac_settings:
    wired_limit_mb: 0
    autorestart: false
"""

RETURN = r"""
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.privileges import is_root, require_root_owned
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.settings import RECORD, WIRED_LIMIT_PLIST, converge


def main():
    module = AnsibleModule(
        argument_spec={
            "wired_limit_mb": {"type": "int", "default": 0},
            "content": {"type": "str"},
            "autorestart": {"type": "bool", "default": False},
            "record": {"type": "path", "default": RECORD},
            "plist": {"type": "path", "default": WIRED_LIMIT_PLIST},
            "sysctl": {"type": "path", "default": "/usr/sbin/sysctl"},
            "pmset": {"type": "path", "default": "/usr/bin/pmset"},
        },
        supports_check_mode=True,
    )
    given = module.params
    if given["wired_limit_mb"] and given["content"] is None:
        module.fail_json(msg="content is missing: a limit is set again at every boot by the job that it describes.")
    try:
        # What is wrong with the plist itself is put right.
        for path in (given["sysctl"], given["pmset"], os.path.dirname(given["plist"])) if is_root() else ():
            require_root_owned(path)
        result = converge(
            wired_limit_mb=given["wired_limit_mb"],
            content=given["content"],
            autorestart=given["autorestart"],
            record=given["record"],
            path=given["plist"],
            sysctl=given["sysctl"],
            pmset=given["pmset"],
            check=module.check_mode,
        )
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
