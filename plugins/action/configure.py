# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: configuration file and host in, final plan out."""

from __future__ import annotations

from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base import addresses, strict_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import host_question, resolve
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_variables import PREFIX

#: What a plan needs to know of a host, by the name of the fact that tells it.
FACTS = {"system": "system", "architecture": "architecture", "home": "user_dir", "user": "user_id", "uid": "user_uid"}

#: Tells the same where no facts were gathered, a line each: POSIX, and no module to run. The home is that of the
#: account, as the fact user_dir has it, whatever HOME says.
ASK = (
    'uname -s; uname -m; user=$(id -un); echo "$user"; id -u; '
    'case "$user" in ""|*[!A-Za-z0-9._-]*) echo "$HOME" ;; *) eval echo "~$user" ;; esac'
)
ANSWERS = ("system", "architecture", "user", "uid", "home")


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
        """What is known of the host: its facts, else what its shell tells."""
        facts = task_vars.get("ansible_facts") or {}
        if all(fact in facts for fact in FACTS.values()):
            host = {key: facts[fact] for key, fact in FACTS.items()}
        else:
            answer = self._low_level_execute_command(ASK)
            lines = (answer.get("stdout") or "").splitlines()
            if answer.get("rc") or len(lines) < len(ANSWERS):
                said = (answer.get("stderr") or "").strip()
                raise AnsibleActionFail(f"The host did not say what it is; nothing was changed. {said}")
            host = dict(zip(ANSWERS, lines[-len(ANSWERS) :]))  # a login may print something of its own before
            host["uid"] = int(host["uid"])
        return {**host, **{key: variables[key] for key in ("daemons_dir", "newsyslog_dir", "launchctl")}}

    def _resolve(self, variables, host):
        schema = load.load_schema()
        source = variables["config_file"]
        config, overrides = load.read(source), variables["overrides"]
        catalog = _read("model_catalog.json")["models"]
        lock_file = lock.path_for(source)
        if overrides and isinstance(config, dict):
            config = load.merge(config, overrides)
            source += f" with the {PREFIX}* variables of this host"
        locked = tags = None
        if not variables["update_lock"]:
            locked, tags = lock.read(lock_file), lock.read_tags(lock_file)
        config, queries = addresses.withheld(rules.checked(config, schema, catalog, source, locked))
        pins, ready = _read("engine_pins.json"), variables["ready_timeout"]
        return resolve.resolve(config, catalog, pins, host, locked, lock_file, tags, ready), queries


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


def _read(name):
    return strict_json.parse(Path(load.CONFIG_DIRECTORY, name).read_bytes())
