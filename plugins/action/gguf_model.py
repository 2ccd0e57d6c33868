# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name, and keeps the queries of its addresses out of sight."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.module_utils.base.addresses import withheld
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. To link local files takes no time."""

    def run(self, tmp=None, task_vars=None):
        arguments, queries = withheld(self._task.args)
        self._task.args = {**arguments, "queries": {**arguments.get("queries", {}), **queries}}
        return super().run(tmp, task_vars)

    def _look(self, task_vars):
        local = all((file.get("source") or {}).get("path") for file in self._task.args.get("files") or ())
        return self._execute_module(task_vars=task_vars) if local else None
