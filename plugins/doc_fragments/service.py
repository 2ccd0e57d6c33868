# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the modules of a service document alike."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  idempotent:
    description: A second run changes nothing, except with O(state=restarted), which restarts each time it is asked.
    support: partial
options:
  rollout:
    description:
      - Files and a release that change together with the service. The change stays only if the server answers a real
        question; otherwise the last confirmed state is restored, and the task fails.
      - C(engine_dir), C(release) (made the current one, unless null), C(files) (texts by path), C(record) (path of what
        was confirmed last), C(keep_releases), and C(health), options of M(macos_setup.llm.llama_server_health).
      - If omitted, the service only has to keep running.
    type: dict
  fingerprint:
    description:
      - Everything that a running server depends on besides its release. A SHA-256 over both replaces a placeholder in
        O(content), so that any change of it changes the service. Requires O(rollout), which names the release.
    type: dict
    suboptions:
      values:
        description: Anything that is known without the host.
        type: raw
        required: true
      files:
        description: Files of the host that the server reads. Size, time of change and inode count, not the content.
        type: list
        elements: path
        default: []
  manifest:
    description: Manifest of the installation. The service is recorded in it before it is created.
    type: path
  progress_file:
    description: File to write the progress to. Set by the action plugin.
    type: path
"""
