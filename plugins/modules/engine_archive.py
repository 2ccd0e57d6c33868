#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Unpacks an archive of llama.cpp after verifying its checksum."""

from __future__ import annotations

DOCUMENTATION = r"""
module: engine_archive
short_description: Download and unpack a llama.cpp archive with a known checksum
version_added: 0.1.0
description:
  - Takes a tar or zip archive from a URL or from a file on the host, verifies its checksum, and unpacks it.
  - Nothing is unpacked outside O(dest). The quarantine attribute of macOS is removed from the unpacked files.
options:
  url:
    description: URL of the archive. Exactly one of O(url) and O(path) is required.
    type: str
  path:
    description: Path of the archive on the host.
    type: path
  sha256:
    description: Expected SHA-256 of the archive.
    type: str
    required: true
  dest:
    description: Directory for the content. A single top-level directory in the archive is left out.
    type: path
    required: true
  queries:
    description:
      - Query of O(url), including the C(?), by the URL without it. Set by the action plugin, since a signed URL grants
        access to everyone who can read it. This option is never shown or logged.
    type: dict
    default: {}
  tree:
    description: Directory in the archive to unpack, relative to its top-level directory. The default is everything.
    type: str
    default: ""
  allow_plain_http:
    description: Whether O(url) may use C(http) to another host.
    type: bool
    default: false
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Reports a change without reading the archive.
    support: full
  diff_mode:
    description: The previous content is not compared.
    support: none
  idempotent:
    description: The archive is unpacked in every run, so that the content is what was verified.
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
  description: Directory with the content.
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
