# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: variables and configuration of a worker in, its plan out."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host
from ansible_collections.macos_setup.llm.plugins.plugin_utils.host_facts import host_facts
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rpc import inventory, worker

OF_HOST = ("daemons_dir", "newsyslog_dir", "launchctl")


class ActionModule(ActionBase):
    """Works on the controller, which asks the host only what it is."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(argument_spec={"release": {"type": "path"}})
        try:
            variables = self._variables(task_vars, role_variables.WORKER)
            own = role_variables.with_settings(self._variables(task_vars, role_variables.SERVER))
            inventory.require_worker_alone(task_vars)
            if own["state"] != "present" and variables["state"] == "present":
                raise LlamaCppError('  llama_cpp_state: expected: "present", since a worker needs the engine.')
            host = {**host_facts(self, task_vars), **{name: own[name] for name in OF_HOST}}
            plan = worker.plan(variables, of_host(own).config, host, arguments["release"])
        except LlamaCppError as error:
            raise AnsibleActionFail(f"The RPC worker cannot be set up; nothing was changed.\n{error}") from None
        return {**result, "plan": plan, "variables": variables, "changed": False}

    def _variables(self, task_vars, role):
        names = [*role_variables.options(role), *role_variables.OF_PLAYBOOKS]
        given = self._templar.template({name: task_vars[name] for name in names if name in task_vars})
        return role_variables.typed_all(given, role)
