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
  gate:
    description:
      - What a changed service must pass to stay as it is, a real answer of its server. Otherwise what was proven before
        is put back, and the task fails. What is put in place with the service belongs to it too.
      - C(engine_dir), C(release) (made the current one, unless null), C(files) (texts by path), C(record) (path of what
        was proven last), C(keep_releases), and C(health), options of M(macos_setup.llm.llama_server_health).
      - If omitted, a service that keeps running is good enough.
    type: dict
  manifest:
    description: Manifest of the installation, in which the service is noted before it is made.
    type: path
  progress_file:
    description: Where to write the stage that the task is in, for whoever shows progress.
    type: path
"""
