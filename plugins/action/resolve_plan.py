# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: configuration file in, plan of this host out."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import BOOLEANS, boolean
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import configuration, lock, plan, rules

VARIABLE_PREFIX = "llama_cpp_"


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
            }
        )
        try:
            result["plan"] = self._resolve(arguments, task_vars or {})
        except LlamaCppError as error:
            raise AnsibleActionFail(str(error)) from None
        return {**result, "changed": False}

    def _resolve(self, arguments, task_vars):
        schema = configuration.load_schema()
        config = configuration.read(arguments["config_file"])
        overrides = configuration.merge(arguments["overrides"], self._settings_from_variables(schema, task_vars))
        catalog = _read("model_catalog.json")["models"]
        source = arguments["config_file"]
        if overrides and isinstance(config, dict):
            config = configuration.merge(config, overrides)
            source += f" with the {VARIABLE_PREFIX}* variables of this host"
        lock_file = lock.path_for(arguments["config_file"])
        locked = None if arguments["renew_lock"] else lock.read(lock_file)
        tags = None if arguments["renew_lock"] else lock.read_tags(lock_file)
        config = rules.checked(config, schema, catalog, source, locked)
        return plan.resolve(config, catalog, _read("engine_pins.json"), arguments["host"], locked, lock_file, tags)

    def _settings_from_variables(self, schema, task_vars):
        """``llama_cpp_server_port`` and its like: every key of ``llm_settings`` has a variable."""
        settings = {
            key: _typed(self._templar.template(task_vars[VARIABLE_PREFIX + key]), subschema.get("type"))
            for key, subschema in schema["properties"]["llm_settings"]["properties"].items()
            if task_vars.get(VARIABLE_PREFIX + key) is not None
        }
        return {"llm_settings": settings} if settings else {}


def _typed(value, wanted):
    """A variable's value as the schema wants it: ``-e llama_cpp_server_port=9000`` always gives text."""
    if isinstance(value, str) and wanted == "integer" and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, str) and wanted == "boolean" and value.lower() in BOOLEANS:
        return boolean(value)
    return value


def _read(name):
    return json.loads(Path(configuration.CONFIG_DIRECTORY, name).read_text(encoding="utf-8"))
