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
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import rpc as workers
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_variables import PREFIX, engine_alone
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rpc import inventory


class _Failed(Exception):
    """A module failed on the host, with this ``answer``."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer


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
                "program": {"type": "str"},
                "mac_programs": {"type": "dict", "default": {}},
            }
        )
        variables = arguments["variables"]
        program, mac_programs = arguments["program"], arguments["mac_programs"]
        if program:
            variables = engine_alone(variables)
        try:
            require_seeds(variables, task_vars["ansible_play_hosts_all"])
            configured = of_host(variables) if program else inventory.configured(variables, task_vars)
            host = self._host(variables, task_vars)
            plan, queries = self._resolve(configured, variables, host)
            is_looked_at = self._is_looked_at(arguments, plan, task_vars)
            if is_looked_at and plan["workers"]:
                offers = self._module("rpc_workers", workers.question(configured.config, plan, mac_programs), task_vars)
                plan, queries = self._resolve(configured, variables, host, offers)
                result["warnings"] = offers.get("warnings", [])
            plan["fit"].update(mac_programs, misfit=variables["fit"])
            if program:
                plan["fit"].update(models=[], files=[])
                plan["needed_programs"] = [program]
            found = host_question.UNSEEN
            if is_looked_at:
                asked = host_question.question(plan, variables, queries, mac_programs)
                found = self._module("host_info", asked, task_vars)
                result["warnings"] = [*result.get("warnings", []), *found.pop("warnings", [])]
            plan = host_question.complete(plan, variables, found)
            if plan["workers"]:
                inventory.require_same_engine(configured, plan["release"], task_vars)
        except LlamaCppError as error:
            raise AnsibleActionFail(str(error)) from None
        except _Failed as failure:
            return {**result, **failure.answer}
        # Only this result, which the role registers: nothing else that Ansible shows has the queries in it.
        hidden = variables["secure_logging"] and bool(queries)
        return {**result, "plan": plan, "queries": queries, "changed": False, "_ansible_no_log": hidden}

    def _module(self, name, arguments, task_vars):
        """What the module ``name`` answers on the host. Raises _Failed."""
        answer = self._execute_module(module_name=f"macos_setup.llm.{name}", module_args=arguments, task_vars=task_vars)
        answer.pop("invocation", None)  # it may hold the queries
        if answer.get("failed"):
            raise _Failed(answer)
        return answer

    @staticmethod
    def _is_looked_at(arguments, plan, task_vars):
        only_configuration = set(task_vars.get("ansible_run_tags", ())) == {"llm_config"}
        wanted = plan["enabled"] and arguments["variables"]["state"] == "present"
        return arguments["look"] and wanted and not only_configuration

    def _host(self, variables, task_vars):
        own = {key: variables[key] for key in ("daemons_dir", "newsyslog_dir", "launchctl")}
        return {**host_facts(self, task_vars), **own}

    @staticmethod
    def _resolve(found, variables, host, offers=None):
        config, queries = addresses.withheld(found.config)
        pins, ready = shipped("engine_pins.json"), variables["ready_timeout"]
        locked = found.locked, found.lock_file, found.tags
        return resolve.resolve(config, found.catalog, pins, host, *locked, ready, offers), queries


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
