#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Looks at a host before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_probe
short_description: See which programs a host has and which commands are taken
version_added: 0.1.0
description:
  - Looks for programs in the search path and where a non-login shell does not look, such as Homebrew's directories.
  - Looks whether a command name is taken by a program that does not belong to the collection.
  - Refuses files with a secret that are open to others.
  - Refuses places that are taken by what the collection did not make.
options:
  programs:
    description: Names of the programs to look for.
    type: list
    elements: str
    default: []
  commands:
    description: Names of the commands that are to be installed.
    type: list
    elements: str
    default: []
  bin_dir:
    description: Directory that the commands are to be installed in.
    type: path
    required: true
  private_files:
    description:
      - Files with a secret by the name of their setting. One that is there and open to other users is refused, as is
        one that belongs to somebody else than this user and root. Root's own may be read by a group.
    type: dict
    default: {}
  manifest:
    description:
      - Manifest of the installation. The module fails if something that is not noted in it stands where one of the
        O(claims) is to be, and names all of that. It fails, too, if it runs as root and the directory is not root's.
    type: path
    required: true
  claims:
    description: What is going to be there, as path and kind.
    type: dict
    default: {}
  launchd:
    description: Where jobs of this user under launchd are not to be; for a host that has launchd.
    type: dict
    suboptions:
      launchctl:
        description: Path of launchctl. Where there is none, nothing is loaded.
        type: path
        required: true
      labels:
        description: Labels of the jobs.
        type: list
        elements: str
        required: true
      home:
        description: Home of the user whose jobs they are.
        type: path
        required: true
      elsewhere:
        description: The V(domains) and the V(directory) of the plists in which the jobs are not to be.
        type: dict
        required: true
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
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: See what the host has
  macos_setup.llm.host_probe:
    programs: [brew, cmake]
    commands: [llm]
    bin_dir: /Users/sam/.local/bin
    manifest: /Users/sam/llm-workspace/manifest.json
  register: host
"""

RETURN = r"""
programs:
  description: Absolute path of each program, or null.
  returned: success
  type: dict
  sample: {brew: /opt/homebrew/bin/brew, cmake: null}
foreign:
  description: Path of the program that takes a command's name, or null.
  returned: success
  type: dict
  sample: {llm: /opt/homebrew/bin/llm}
elsewhere:
  description: The jobs that are where they are not to be, in the opposite order of their labels.
  returned: when O(launchd) is given
  type: list
  elements: dict
  sample: [{label: com.llama.server, plist: /Library/LaunchDaemons/com.llama.server.plist, domain: system}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership import marker
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.private_files import refuse_all_exposed
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.domains import jobs_of
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.launchctl import Launchctl

LAUNCHD = {
    "launchctl": {"type": "path", "required": True},
    "labels": {"type": "list", "elements": "str", "required": True},
    "home": {"type": "path", "required": True},
    "elsewhere": {"type": "dict", "required": True},
}


def main():
    module = AnsibleModule(
        argument_spec={
            "programs": {"type": "list", "elements": "str", "default": []},
            "commands": {"type": "list", "elements": "str", "default": []},
            "bin_dir": {"type": "path", "required": True},
            "private_files": {"type": "dict", "default": {}},
            "manifest": {"type": "path", "required": True},
            "claims": {"type": "dict", "default": {}},
            "launchd": {"type": "dict", "options": LAUNCHD},
        },
        supports_check_mode=True,
    )
    given = module.params
    result = {
        "programs": {name: commands.find(name) for name in given["programs"]},
        "foreign": {name: marker.foreign_command(name, given["bin_dir"]) for name in given["commands"]},
    }
    try:
        refuse_all_exposed(given["private_files"])
        Manifest(given["manifest"]).refuse_taken(given["claims"])
        result.update(_places(given["launchd"]) if given["launchd"] else {})
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    module.exit_json(changed=False, **result)


def _places(given):
    launchctl, elsewhere = Launchctl(given["launchctl"]), given["elsewhere"]
    labels = given["labels"]
    return {
        "elsewhere": jobs_of(launchctl, labels[::-1], elsewhere["domains"], elsewhere["directory"], given["home"]),
    }


if __name__ == "__main__":
    main()
