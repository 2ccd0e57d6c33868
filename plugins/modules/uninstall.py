#!/usr/bin/python
# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Removes an installation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: uninstall
short_description: Remove an installation
version_added: 0.1.0
description:
  - Removes the services and files that are recorded in the manifest of the installation, and nothing else. The manifest
    was written during the installation, so the configuration may have changed since.
  - A file that no longer carries the marker of the collection is kept, and so is every directory that contains other
    files.
options:
  manifest:
    description: Path of the manifest, C(manifest.json) in the directory of the installation.
    type: path
    required: true
  purge_models:
    description: Whether to remove the models that the collection installed. Other models are always kept.
    type: bool
    default: false
  wired_limit_plist:
    description: Path of the plist of the job that sets the GPU memory limit at boot.
    type: path
  mac_record:
    description: File in which M(macos_setup.llm.mac_settings) records its changes.
    type: path
attributes:
  check_mode:
    description: Reports what would be removed.
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
  description: Paths that were removed. A directory is listed without its content.
  returned: success
  type: list
  elements: str
cleared:
  description: Files of other programs from which the items of the collection were removed.
  returned: success
  type: list
  elements: str
kept:
  description: Models that were kept, and the manifest with them, so that they can be removed later.
  returned: success
  type: list
  elements: str
left:
  description: Paths below the installation that were not removed, each with the reason.
  returned: success
  type: dict
daemons:
  description:
    - Plists in the system domain of launchd that belong to the installation and still exist. Only root can remove them.
      Use M(macos_setup.llm.launchd_service) for that before this module.
  returned: success
  type: list
  elements: str
mac_changed:
  description: Whether a setting of the Mac is still as M(macos_setup.llm.mac_settings) set it, which can reset it.
  returned: success
  type: bool
msg:
  description: Summary for people.
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
    items = [f"items in {path}" for path in sorted(uninstall.cleared)]
    services = [f"service {service.name}" for service in uninstall.services]
    module.exit_json(
        changed=needed,
        removed=uninstall.to_remove,
        cleared=sorted(uninstall.cleared),
        kept=uninstall.kept,
        left=uninstall.left,
        daemons=uninstall.daemons,
        mac_changed=all(mac) and changed_here(*mac),
        msg=summary(uninstall, module),
        diff=difference(
            "made by macos_setup.llm",
            "".join(line + "\n" for line in services + items + sorted(uninstall.to_remove) + uninstall.kept),
            "".join(line + "\n" for line in uninstall.kept),
        ),
    )


def summary(uninstall, module):
    manifest = module.params["manifest"]
    if not (uninstall.is_needed() or uninstall.kept):
        return f"Nothing to remove: no manifest of an installation at {manifest}."
    verb = "Would remove" if module.check_mode else "Removed"
    lines = [f"{verb} {len(uninstall.to_remove)} paths."] if uninstall.is_needed() else []
    lines += [f"{verb} what the collection put into {path}." for path in sorted(uninstall.cleared)]
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
