#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Module ``engine_archive``; the work is done in ``module_utils/engine/archive.py``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_archive
short_description: Unpack a pinned archive of llama.cpp
version_added: 0.1.0
description:
  - Takes an archive (tar or zip) from the web or from a file on the host, verifies its hash, and unpacks it.
  - Nothing is ever unpacked outside of O(dest). macOS's mark for downloaded programs is taken from what was verified.
options:
  url:
    description: Address of the archive.
    type: str
  path:
    description: The archive on the host.
    type: path
  sha256:
    description: SHA-256 that the archive must have.
    type: str
    required: true
  dest:
    description: Directory that is to hold the content, without the single directory that archives begin with.
    type: path
    required: true
  queries:
    description:
      - The query of O(url) with its C(?), by the address without it. The action plugin moves it here, because a signed
        address lets in everyone who reads it, and this option is never shown or logged.
    type: dict
    default: {}
  tree:
    description: Directory in the archive, below the single one, that is wanted; everything when it is not given.
    type: str
    default: ""
  allow_plain_http:
    description: Whether O(url) may begin with C(http) and lead to another machine.
    type: bool
    default: false
  progress_file:
    description: Where progress is written; set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Says that the archive would be unpacked, without a look at it.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: The archive is unpacked anew, so that the content is what was verified.
    support: none
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Unpack an official release
  macos_setup.llm.engine_archive:
    url: https://github.com/ggml-org/llama.cpp/releases/download/b10775/llama-b10775-bin-macos-arm64.tar.gz
    sha256: cd91a87f6e00dddeab16469cf5fc3bf09ee535705a0d09e8cd2e8ef7da4d2cac
    dest: /opt/llm/engine/src/b10775
"""

RETURN = r"""
dest:
  description: The directory that holds the content.
  returned: success
  type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base import addresses
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import archive


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str"},
            "path": {"type": "path"},
            "sha256": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "queries": addresses.OPTION,
            "tree": {"type": "str", "default": ""},
            "allow_plain_http": {"type": "bool", "default": False},
            "progress_file": {"type": "path"},
        },
        required_one_of=[("url", "path")],
        mutually_exclusive=[("url", "path")],
        supports_check_mode=True,
    )
    wanted = module.params
    if not module.check_mode:
        progress = Progress(wanted["progress_file"], subject="llama.cpp")
        try:
            path = wanted["path"]
            if not path:
                downloads = os.path.join(os.path.dirname(wanted["dest"]), "download")
                url = addresses.joined(wanted["url"], wanted["queries"])
                path = archive.obtain(url, wanted["sha256"], downloads, progress, wanted["allow_plain_http"])
            progress.update("unpacking")
            archive.unpack(path, wanted["dest"], wanted["sha256"], wanted["tree"])
            archive.release_from_quarantine(wanted["dest"])
        except EXPECTED as error:
            module.fail_json(msg=in_words(error))
    module.exit_json(changed=True, dest=wanted["dest"])


if __name__ == "__main__":
    main()
