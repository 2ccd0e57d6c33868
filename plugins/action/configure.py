# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: configuration file and host in, final plan out."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base import addresses
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host, shipped
from ansible_collections.macos_setup.llm.plugins.plugin_utils.host_facts import host_facts
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import host_question, resolve
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_variables import PREFIX


class ActionModule(ActionBase):
    """Checks and resolves on the controller, and looks at the host once."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "variables": {"type": "dict", "required": True},
                "look": {"type": "bool", "default": True},
                "mac_programs": {"type": "dict", "default": {}},
            }
        )
        variables = arguments["variables"]
        try:
            require_seeds(variables, task_vars["ansible_play_hosts_all"])
            plan, queries = self._resolve(variables, self._host(variables, task_vars))
        except LlamaCppError as error:
            raise AnsibleActionFail(str(error)) from None
        plan["fit"].update(arguments["mac_programs"], misfit=variables["fit"])
        found = host_question.UNSEEN
        if self._is_looked_at(arguments, plan, task_vars):
            asked = host_question.question(plan, variables, queries, arguments["mac_programs"])
            found = self._execute_module(
                module_name="macos_setup.llm.host_info", module_args=asked, task_vars=task_vars
            )
            found.pop("invocation", None)  # it may hold the queries
            if found.get("failed"):
                return {**result, **found}
            result["warnings"] = found.pop("warnings", [])
        plan = host_question.complete(plan, variables, found)
        # Only this result, which the role registers: nothing else that Ansible shows has the queries in it.
        hidden = variables["secure_logging"] and bool(queries)
        return {**result, "plan": plan, "queries": queries, "changed": False, "_ansible_no_log": hidden}

    @staticmethod
    def _is_looked_at(arguments, plan, task_vars):
        only_configuration = set(task_vars.get("ansible_run_tags", ())) == {"llm_config"}
        wanted = plan["enabled"] and arguments["variables"]["state"] == "present"
        return arguments["look"] and wanted and not only_configuration

    def _host(self, variables, task_vars):
        own = {key: variables[key] for key in ("daemons_dir", "newsyslog_dir", "launchctl")}
        return {**host_facts(self, task_vars), **own}

    @staticmethod
    def _resolve(variables, host):
        found = of_host(variables)
        config, queries = addresses.withheld(found.config)
        pins, ready = shipped("engine_pins.json"), variables["ready_timeout"]
        return resolve.resolve(
            config, found.catalog, pins, host, found.locked, found.lock_file, found.tags, ready
        ), queries


def require_seeds(variables, hosts):
    """Raise LlamaCppError for a seed that is not among the ``hosts`` of the play."""
    wrong = [
        f'{PREFIX}{name} is "{variables[name]}", which is not a host of this play ({", ".join(hosts)}).'
        for name in ("model_seed", "engine_seed")
        if variables[name] and variables[name] not in hosts
    ]
    if wrong:
        remedy = "Nothing was changed. Name one of them, or leave the variable out to do without a seed."
        raise LlamaCppError("\n".join([*wrong, remedy]))
