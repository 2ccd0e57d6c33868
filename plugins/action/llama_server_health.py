# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction

LOOK_SECONDS = 2


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. A server that is up answers at once, and then there is nothing to watch."""

    def _look(self, task_vars):
        arguments = {**self._task.args, "timeout": LOOK_SECONDS}
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        return None if answer.get("failed") else answer
