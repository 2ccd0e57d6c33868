# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Every example inventory describes hosts that the roles take as they are."""

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.macos_setup.llm.plugins.action import gateway_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import plan
from support.paths import REPOSITORY

EXAMPLES = sorted((REPOSITORY / "playbooks" / "inventory").glob("*.yml"))
SECRETS = {f"vault_llm_key_of_{whose}": f"the-secret-key-of-{whose}" for whose in ("hosts", "anna", "nightly_jobs")}


def variables_of(inventory, name):
    """The variables of a host, as a task of a play has them."""
    loader = DataLoader()
    hosts = InventoryManager(loader=loader, sources=[str(inventory)])
    manager = VariableManager(loader=loader, inventory=hosts)
    manager.extra_vars.update(SECRETS)
    HostVars(inventory=hosts, variable_manager=manager, loader=loader)
    return manager.get_vars(host=hosts.get_host(name))


@pytest.mark.parametrize("inventory", EXAMPLES, ids=lambda path: path.stem)
def test_its_servers_are_taken(inventory):
    found = variables_of(inventory, "localhost")
    for name in found["groups"].get("llm_servers", found["groups"]["all"]):
        host = found["hostvars"][name]
        given = {key: host[key] for key in role_variables.options() if key in host}
        assert of_host(role_variables.with_settings(role_variables.typed_all(given))).config


def test_the_gateway_of_three_minis_knows_what_each_of_them_has():
    found = variables_of(REPOSITORY / "playbooks" / "inventory" / "three_minis_behind_a_gateway.yml", "gateway")
    hosts = gateway_plan._servers("llm_servers", found)
    places = [(host["name"], host["address"], host["slots"], host["agent_port"]) for host in hosts]
    assert places == [
        ("mini-1", "192.168.7.11", 4, 8079),
        ("mini-2", "192.168.7.12", 4, 8079),
        ("mini-3", "192.168.7.13", 8, 8079),
    ]
    names = [name for name in role_variables.options(role_variables.GATEWAY) if name in found]
    given = Templar(loader=DataLoader(), variables=found).template({name: found[name] for name in names})
    variables = role_variables.typed_all(given, role_variables.GATEWAY)
    paths = dict.fromkeys(("admin_socket", "master_socket", "peers_socket", "key_map"), "/run/gateway")
    made = plan.plan(variables, hosts, {"paths": paths, "user": None})
    assert [client["name"] for client in made["clients"]] == ["anna", "nightly-jobs"] and made["certificate"]
