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
      - What goes with a change of the service. It stays only if its server gives a real answer; otherwise what was
        confirmed before is put back, and the task fails.
      - C(engine_dir), C(release) (made the current one, unless null), C(files) (texts by path), C(record) (path of what
        was confirmed last), C(keep_releases), and C(health), options of M(macos_setup.llm.llama_server_health).
      - If omitted, a service that keeps running is good enough.
    type: dict
  fingerprint:
    description:
      - What a running server depends on besides its release. A SHA-256 over both takes its place in O(content), so that
        a change of any of it is a change of the service. Needs O(rollout), which tells the release.
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
    description: Manifest of the installation, in which the service is noted before it is made.
    type: path
  progress_file:
    description: Where to write the stage that the task is in, for whoever shows progress.
    type: path
"""
