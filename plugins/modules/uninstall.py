#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Removes what the collection made on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: uninstall
short_description: Remove what the collection made
version_added: 0.1.0
description:
  - Takes the services out and removes what the manifest of the installation names, and nothing else. The manifest was
    written while all of it was made, so the configuration may have changed since.
  - A file of ours that does not bear the mark of the collection any more is left, and so is every directory that holds
    something the collection did not make.
options:
  manifest:
    description: The manifest of the installation, C(manifest.json) in its directory.
    type: path
    required: true
  purge_models:
    description: Remove the models that the collection put in place, too. A model of somebody else always stays.
    type: bool
    default: false
  wired_limit_plist:
    description: Plist of the job that sets the GPU's share of memory, if it is there.
    type: path
  mac_record:
    description: File in which M(macos_setup.llm.mac_settings) notes what it changes.
    type: path
attributes:
  check_mode:
    description: Says what would be removed.
    support: full
  diff_mode:
    description: Lists what is removed.
    support: full
  idempotent:
    description: A second run finds nothing to remove.
    support: full
author:
  - contributors to macos_setup.llm (@macos-setup)
"""

EXAMPLES = r"""
- name: Remove everything but the models
  macos_setup.llm.uninstall:
    manifest: /opt/llm/manifest.json
"""

RETURN = r"""
removed:
  description: Paths that are removed; a tree by its top alone.
  returned: success
  type: list
  elements: str
kept:
  description: Models that stay, and the manifest with them, so that they can still be removed.
  returned: success
  type: list
  elements: str
left:
  description: By path, why it was not removed although it lies among what the collection made.
  returned: success
  type: dict
daemons:
  description: >-
    Plists of jobs of launchd's domain system that belong to the installation and are still there. Only root removes
    them, with M(macos_setup.llm.launchd_service), which is to be done first.
  returned: success
  type: list
  elements: str
mac_changed:
  description: >-
    Whether something of the Mac itself is as M(macos_setup.llm.mac_settings) has set it, which takes it back.
  returned: success
  type: bool
msg:
  description: The same for people.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import EXPECTED, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import difference
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.settings import changed_here
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall


def main():
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "path", "required": True},
            "purge_models": {"type": "bool", "default": False},
            "wired_limit_plist": {"type": "path"},
            "mac_record": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        uninstall = Uninstall(Manifest(module.params["manifest"]), module.params["purge_models"])
        needed, mac = uninstall.is_needed(), [module.params[name] for name in ("wired_limit_plist", "mac_record")]
        if needed and not module.check_mode:
            uninstall.run()
    except EXPECTED as error:
        module.fail_json(msg=in_words(error))
    services = [f"service {service.name}" for service in uninstall.services]
    module.exit_json(
        changed=needed,
        removed=uninstall.doomed,
        kept=uninstall.kept,
        left=uninstall.left,
        daemons=uninstall.daemons,
        mac_changed=all(mac) and changed_here(*mac),
        msg=summary(uninstall, module),
        diff=difference(
            "made by macos_setup.llm",
            "".join(line + "\n" for line in services + sorted(uninstall.doomed) + uninstall.kept),
            "".join(line + "\n" for line in uninstall.kept),
        ),
    )


def summary(uninstall, module):
    manifest = module.params["manifest"]
    if not (uninstall.is_needed() or uninstall.kept):
        return f"Nothing to remove: no manifest of an installation at {manifest}."
    verb = "Would remove" if module.check_mode else "Removed"
    lines = [f"{verb} {len(uninstall.doomed)} paths."] if uninstall.is_needed() else []
    if uninstall.kept:
        lines.append(
            "Models stay, and {} with them (remove them with llama_cpp_purge_models=true): {}".format(
                manifest, ", ".join(uninstall.kept)
            )
        )
    lines += [f"Left alone: {path} {why}." for path, why in sorted(uninstall.left.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
