# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: configuration file in, plan of this host out."""

from __future__ import annotations

from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base import addresses, strict_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_variables import PREFIX


class ActionModule(ActionBase):
    """Reads, checks and resolves on the controller; the host is not touched."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            argument_spec={
                "config_file": {"type": "path", "required": True},
                "overrides": {"type": "dict", "default": {}},
                "host": {"type": "dict", "required": True},
                "renew_lock": {"type": "bool", "default": False},
                "ready_timeout": {"type": "int"},
                "hide_queries": {"type": "bool", "default": True},
            }
        )
        try:
            result["plan"], result["queries"] = self._resolve(arguments)
        except LlamaCppError as error:
            raise AnsibleActionFail(str(error)) from None
        # Only this result, which the role registers: nothing else that Ansible shows has the queries in it.
        return {**result, "changed": False, "_ansible_no_log": arguments["hide_queries"] and bool(result["queries"])}

    def _resolve(self, arguments):
        schema = load.load_schema()
        config, overrides = load.read(arguments["config_file"]), arguments["overrides"]
        catalog = _read("model_catalog.json")["models"]
        source = arguments["config_file"]
        if overrides and isinstance(config, dict):
            config = load.merge(config, overrides)
            source += f" with the {PREFIX}* variables of this host"
        lock_file = lock.path_for(arguments["config_file"])
        locked = None if arguments["renew_lock"] else lock.read(lock_file)
        tags = None if arguments["renew_lock"] else lock.read_tags(lock_file)
        config, queries = addresses.withheld(rules.checked(config, schema, catalog, source, locked))
        pins, host, timeout = _read("engine_pins.json"), arguments["host"], arguments["ready_timeout"]
        return plan.resolve(config, catalog, pins, host, locked, lock_file, tags, timeout), queries


def _read(name):
    return strict_json.parse(Path(load.CONFIG_DIRECTORY, name).read_bytes())
