#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Downloads a source distribution and verifies its checksum."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pip_source
short_description: Download a source distribution with a known checksum from the package index
version_added: 0.1.0
description:
  - Downloads one source distribution with the pip configuration of the host and verifies its checksum.
  - No code of the distribution runs, and no build dependencies are installed.
options:
  package:
    description: Name of the package.
    type: str
    required: true
  version:
    description: Version of the package.
    type: str
    required: true
  sha256:
    description: Expected SHA-256 of the file.
    type: str
    required: true
  dest:
    description: Existing directory for the file.
    type: path
    required: true
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
attributes:
  check_mode:
    description: Reports whether the file would be downloaded.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: A file with the expected checksum is not downloaded again.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Fetch the source
  macos_setup.llm.pip_source:
    package: llama-cpp-python
    version: 0.3.36
    sha256: 832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
    dest: /opt/llm/engine/src
"""

RETURN = r"""
path:
  description: Path of the downloaded file.
  returned: success, in check mode only if the file exists
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import sdist


def main():
    module = AnsibleModule(
        argument_spec={
            "package": {"type": "str", "required": True},
            "version": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "progress_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    wanted = {key: module.params[key] for key in ("package", "version", "sha256")}
    dest = module.params["dest"]
    try:
        path = sdist.downloaded(directory=dest, **wanted)
        present = path is not None
        if not present and not module.check_mode:
            progress = Progress(module.params["progress_file"], subject=wanted["package"])
            path = sdist.fetch(directory=dest, progress=progress, **wanted)
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(changed=not present, path=path)


if __name__ == "__main__":
    main()
