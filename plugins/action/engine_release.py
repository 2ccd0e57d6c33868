# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. The role has looked already (host_info) when it asks for what takes long."""

    def _look(self, task_vars):
        takes_long = self._task.args.get("state") in ("present", "fetched")
        return None if takes_long else self._execute_module(task_vars=task_vars)
