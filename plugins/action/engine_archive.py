# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name, and keeps the queries of its addresses out of sight."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.module_utils.base.addresses import withheld
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`."""

    def run(self, tmp=None, task_vars=None):
        arguments, queries = withheld(self._task.args)
        self._task.args = {**arguments, "queries": {**arguments.get("queries", {}), **queries}}
        return super().run(tmp, task_vars)
