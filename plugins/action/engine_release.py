# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import ADOPTED
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. To link programs, or to make a release the current one, takes no time."""

    def _look(self, task_vars):
        adopted = (self._task.args.get("engine") or {}).get("source") in ADOPTED
        quick = adopted or self._task.args.get("state") == "current"
        return self._execute_module(task_vars=task_vars) if quick else None
