# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Controller side of the module of the same name: the hosts behind a gateway and its own variables in, its plan out."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import files, places, plan, servers
from ansible_collections.macos_setup.llm.plugins.plugin_utils.host_facts import ask, host_facts

#: What the host has, a line each: HAProxy, of the system or Homebrew's; its version; systemd; apt.
ASK = (
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin:/usr/local/bin; found=$(command -v haproxy || echo -); "
    'echo "$found"; if [ "$found" = - ]; then echo -; else "$found" -v | head -n 1; fi; '
    "[ -d /run/systemd/system ] && echo yes || echo no; command -v apt-get >/dev/null && echo yes || echo no"
)

#: Variables of a host behind the gateway, besides those of its own role.
OF_SERVERS = ("llama_cpp_gateway_server_address", "ansible_host", "ansible_connection")


class ActionModule(ActionBase):
    """Reads and resolves on the controller, and asks the host what it has."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        names = role_variables.options(role_variables.GATEWAY)
        given = self._templar.template({name: task_vars[name] for name in names if name in task_vars})
        try:
            variables = role_variables.typed_all(given, role_variables.GATEWAY)
            made = self._plan(variables, task_vars)
            needed = files.needed_file_set(made, variables["hosts_api_key"])
        except LlamaCppError as error:
            lines = ["The gateway cannot be set up; nothing was changed.", str(error)]
            raise AnsibleActionFail("\n".join(lines)) from None
        made = {**made, "wanted": variables["state"] == "present"}
        return {
            **result,
            "plan": made,
            "needed": needed,
            "changed": False,
            "_ansible_no_log": variables["secure_logging"],
        }

    def _plan(self, variables, task_vars):
        hosts = _servers(variables["servers_group"], task_vars)
        haproxy, version, systemd, apt = ask(self, ASK, 4)
        found = {"haproxy": None if haproxy == "-" else haproxy, "version": (version.split() + [""] * 3)[2]}
        found.update(systemd=systemd == "yes", apt=apt == "yes")
        place = places.place(variables, host_facts(self, task_vars), found)
        made = plan.plan(variables, hosts, place)
        return files.complete(made, variables["hosts_api_key"], variables["daemons_dir"], variables["launchctl"])


def _servers(group, task_vars):
    """What servers.server() makes of each host of ``group``. Raises LlamaCppError with what is wrong in all of them."""
    names = task_vars["groups"].get(group) or []
    if not names:
        raise LlamaCppError(
            f'  llama_cpp_gateway_servers_group: the inventory has no hosts in the group "{group}". Put those '
            "behind the gateway there."
        )
    found, wrong = [], []
    for name in names:
        try:
            found.append(_server(name, task_vars))
        except LlamaCppError as error:
            wrong.append(str(error))
    if wrong:
        raise LlamaCppError("\n".join(wrong))
    return found


def _server(name, task_vars):
    hostvars = task_vars["hostvars"][name]
    wanted = (*role_variables.options(), *role_variables.OF_PLAYBOOKS, *OF_SERVERS)
    given = {key: hostvars[key] for key in wanted if key in hostvars}
    try:
        config = of_host(role_variables.with_settings(role_variables.typed_all(given))).config
    except LlamaCppError as error:
        raise LlamaCppError(f"  {name}: {error}") from None
    is_local = [host.get("ansible_connection") == "local" for host in (given, task_vars)]
    is_near = name == task_vars["inventory_hostname"] or all(is_local)
    return servers.server(name, config, given, is_near)
