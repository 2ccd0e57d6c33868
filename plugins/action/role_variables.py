# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: the variables of the role, each of its type."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables


class ActionModule(ActionBase):
    """Works on the controller; the host is not touched."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        task_vars = task_vars or {}
        names = {*role_variables.options(), *role_variables.OF_PLAYBOOKS}
        # All in one: what is omit then is left out, and alone it would be an error.
        given = self._templar.template({name: task_vars[name] for name in names if name in task_vars})
        try:
            values = role_variables.with_settings(role_variables.typed_all(given))
        except LlamaCppError as error:
            raise AnsibleActionFail(str(error)) from None
        # Not shown at any verbosity, unless asked for: what is laid over the configuration may name a signed address.
        return {**result, "variables": values, "changed": False, "_ansible_no_log": values["secure_logging"]}
