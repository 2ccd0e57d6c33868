#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Manages the settings of a Mac that a service needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mac_settings
short_description: Manage the GPU memory limit and the automatic restart of a Mac
version_added: 0.1.0
description:
  - Sets how much memory the GPU may use (C(iogpu.wired_limit_mb)), immediately and at every boot.
  - Sets whether the Mac restarts after a power failure (C(pmset autorestart)).
  - Must run as root, unless there is nothing to change.
options:
  wired_limit_mb:
    description:
      - GPU memory limit in MiB. The module fails for a limit that is not safe on this Mac.
      - V(0) removes a limit that this module has set, so that macOS decides again. Any other limit is not changed.
    type: int
    default: 0
  content:
    description: Text of the plist of the job that sets the limit at boot. Required unless O(wired_limit_mb=0).
    type: str
  autorestart:
    description:
      - Whether the Mac restarts automatically after a power failure.
      - V(false) turns it off only if this module turned it on, according to O(record).
      - A Mac without this setting, such as one with a battery, is not changed.
    type: bool
    default: false
  record:
    description: File of root that records what was turned on, so that it can be turned off again.
    type: path
    default: /Library/Application Support/macos_setup.llm/settings.json
  plist:
    description: Path of the plist. The file name must match the C(Label) in O(content).
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
attributes:
  check_mode:
    description: Reports the changes without making them.
    support: full
  diff_mode:
    description: Shows the changes of the plist, of its owner and mode, and of each setting.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
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
# Nothing but what every module returns.
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
