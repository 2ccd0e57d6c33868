# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. To make a release the current one takes no time."""

    def _look(self, task_vars):
        return self._execute_module(task_vars=task_vars) if self._task.args.get("state") == "current" else None
