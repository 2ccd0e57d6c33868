# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. What else belongs to its stage may be due, while the environment is ready."""

    def _look(self, task_vars):
        self._task.check_mode = True
        try:
            probe = self._execute_module(task_vars=task_vars)
        finally:
            self._task.check_mode = False
        return None if probe.get("changed") and not probe.get("failed") else probe
