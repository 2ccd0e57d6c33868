# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Heads and their RPC workers as functions of configuration and inventory."""

import json
import plistlib

import pytest
import yaml
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import render
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rpc import inventory, worker
from support import planning
from support.paths import REPOSITORY
from support.planning import CATALOG, LINUX, MAC, MODEL, PINS, SCHEMA, option

WORKERS = [{"address": "10.13.0.2"}, {"address": "10.13.0.3", "port": 50053}]
ENDPOINTS = ["10.13.0.2:50052", "10.13.0.3:50053"]
FOUND = {"offers": {ENDPOINTS[1]: [300, 400], ENDPOINTS[0]: [200]}, "own_mb": 100}
WORKER = role_variables.WORKER
EXAMPLE = REPOSITORY / "playbooks" / "inventory" / "two_studios_for_one_model.yml"
TWO = {"a": MODEL, "b": {"path": "/b.gguf"}}
OF_WORKER = {"network": "10.13.0.0/24", "address": "10.13.0.2"}


def resolve(host=MAC, found=FOUND, **sections):
    config = {"models": {"tiny": MODEL}, **sections}
    config["server"] = {"rpc_workers": WORKERS, **config.get("server", {})}
    checked = planning.rules.checked(config, SCHEMA, CATALOG, "test")
    return planning.plan.resolve(checked, CATALOG, PINS, host, workers=found)


def test_the_devices_of_the_workers_come_before_the_own_and_each_has_its_share():
    arguments = resolve()["server"]["arguments"]
    assert option(arguments, "--rpc") == ",".join(ENDPOINTS)
    assert option(arguments, "--tensor-split") == "200,300,400,100"
    assert option(resolve(LINUX)["server"]["arguments"], "--tensor-split") == "200,300,400"


@pytest.mark.parametrize(
    "changes",
    [
        {"server": {"arguments": {"tensor-split": "1,1,1,1"}}},
        {"models": {"tiny": {**MODEL, "arguments": {"device": "RPC0"}}}},
        {"host": LINUX, "engine": {"cmake_options": {"GGML_CUDA": True}}},
        {"host": LINUX, "engine": {"source": "existing", "path": "/opt/llama"}},
        {"found": {"offers": {ENDPOINTS[0]: [200]}, "own_mb": 100}},
        {"found": None},
    ],
)
def test_the_split_is_left_to_the_owner_or_to_llama_server(changes):
    arguments = resolve(**changes)["server"]["arguments"]
    assert option(arguments, "--rpc") == ",".join(ENDPOINTS)
    assert "200," not in ",".join(arguments)


def test_the_models_of_a_router_are_spread_too_and_its_own_process_is_not():
    plan = resolve(models=TWO, llm_settings={"default_model": "a"}, server={"max_loaded_models": 1})
    assert "--rpc" not in plan["server"]["arguments"]
    section = plan["server"]["presets"]["sections"]["*"]
    assert section["rpc"] == ",".join(ENDPOINTS) and section["tensor-split"] == "200,300,400,100"


def test_the_runner_waits_for_the_workers_and_the_next_play_knows_what_they_offered():
    told = json.loads(render("runner.json.j2", plan=resolve()))
    assert told["workers"] == {ENDPOINTS[0]: "200", ENDPOINTS[1]: "300,400"}
    assert "workers" not in json.loads(render("runner.json.j2", plan=planning.resolve()))


def test_their_memory_counts_for_the_models():
    assert resolve()["fit"]["workers_mb"] == 900
    assert resolve(found=None)["fit"]["workers_mb"] is None and planning.resolve()["fit"]["workers_mb"] is None


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"server": {"rpc_workers": [{"address": "8.8.8.8"}]}}, r"server\.rpc_workers\[?\.?0\]?\.address"),
        ({"server": {"rpc_workers": [{"address": "0.0.0.0"}]}}, "is not private"),
        ({"server": {"rpc_workers": [WORKERS[0], WORKERS[0]]}}, "already in the list"),
        ({"server": {"arguments": {"rpc": "10.0.0.1:1"}}}, r"use server\.rpc_workers instead"),
        ({"engine": {"rpc": False}}, r"engine\.rpc"),
        ({"engine": {"source": "homebrew"}}, r"engine\.source"),
        ({"models": TWO, "llm_settings": {"default_model": "a"}}, "max_loaded_models"),
        ({"llm_settings": {"metal_acceleration": False}}, "metal_acceleration"),
    ],
)
def test_a_configuration_that_cannot_be(sections, named):
    with pytest.raises(LlamaCppError, match=named):
        resolve(**sections)


def hosts(task_host="studio-1", **more):
    """What Ansible knows in the example inventory, with ``more`` variables of hosts."""
    document = yaml.safe_load(EXAMPLE.read_text())["all"]
    groups = {name: list(group["hosts"]) for name, group in document["children"].items()}
    found = {
        name: {**document["vars"], **variables, **more.get(name.replace("-", "_"), {})}
        for group in document["children"].values()
        for name, variables in group["hosts"].items()
    }
    return {"inventory_hostname": task_host, "groups": groups, "hostvars": found}


def test_the_workers_of_a_head_are_those_of_the_inventory_unless_its_configuration_names_them():
    assert workers_of(hosts()) == [{"address": "10.13.0.2", "port": 50052}]
    assert workers_of(hosts("studio-2")) is None
    two_heads = hosts()
    two_heads["groups"]["llm_rpc_heads"].append("studio-3")
    assert workers_of(two_heads, {"server": {"rpc_workers": WORKERS}})[1]["port"] == 50053
    assert workers_of(hosts(), {"server": {"rpc_workers": []}}) == []


def test_the_engine_of_a_worker_is_planned_without_workers_and_without_all_else():
    alone = of_host(role_variables.engine_alone(variables_of({"server": {"rpc_workers": WORKERS}}))).config
    assert alone["server"]["rpc_workers"] == []
    assert [name for name, wanted in alone["feature_flags"].items() if wanted] == ["install_llama_cpp"]


def test_head_and_worker_have_the_same_engine_with_rpc_and_no_other_host_compiles_it():
    variables = variables_of({"server": {"rpc_workers": WORKERS}})
    head, alone = (
        planning.plan.resolve(of_host(given).config, CATALOG, PINS, MAC)["engine"]
        for given in (variables, role_variables.engine_alone(variables))
    )
    assert head == alone
    assert (head["options"]["GGML_RPC"], "ggml-rpc-server" in head["targets"]) == ("ON", True)
    other = planning.resolve(host=MAC)["engine"]
    assert (other["options"]["GGML_RPC"], "ggml-rpc-server" in other["targets"]) == ("OFF", False)


def test_an_inventory_that_does_not_say_whose_workers_they_are():
    two_heads, no_workers = hosts(), hosts()
    two_heads["groups"]["llm_rpc_heads"].append("studio-3")
    no_workers["groups"]["llm_rpc_workers"] = []
    nameless = hosts(studio_2={"llama_cpp_rpc_worker_address": ""})
    for wrong, named in (
        (two_heads, "studio-1, studio-3"),
        (no_workers, "none in llm_rpc_workers"),
        (nameless, "llama_cpp_rpc_worker_address is not set for studio-2"),
    ):
        with pytest.raises(LlamaCppError, match=named):
            workers_of(wrong)


def variables_of(overrides):
    return role_variables.with_settings(role_variables.typed_all({"llama_cpp_overrides": overrides}))


def configured(overrides):
    return of_host(variables_of(overrides))


def workers_of(task_vars, overrides=None):
    return inventory.configured(variables_of(overrides or {}), task_vars).config["server"].get("rpc_workers")


def test_another_engine_on_the_worker_is_named_with_both_sides():
    workers = {"server": {"rpc_workers": [{"address": "10.13.0.2"}]}}
    own, release = configured(workers), {"name": "0c1e570-aaaaaaaaaaaa"}
    inventory.require_same_engine(own, release, hosts())
    other = {"llama_cpp_overrides": {"engine": {"version": "b" + "1" * 39}}}
    installed = {"__llama_cpp_plan": {"release": {"name": "b111111-bbbbbbbbbbbb"}}}
    with pytest.raises(LlamaCppError) as error:
        inventory.require_same_engine(own, release, hosts(studio_2={**other, **installed}))
    for word in ("studio-1", "0c1e570-aaaaaaaaaaaa", "studio-2", "b111111-bbbbbbbbbbbb", "engine.version"):
        assert word in str(error.value)
    # Adopted programs have no version in the configuration; what they say of themselves is compared.
    path = {"engine": {"source": "existing", "path": "/opt/llama"}}
    adopted = configured({**workers, **path})
    known = {"llama_cpp_overrides": path, "__llama_cpp_plan": {"release": {"build_info": "b2-other"}}}
    inventory.require_same_engine(adopted, {"build_info": "b2-other"}, hosts(studio_2=known))
    with pytest.raises(LlamaCppError, match="b2-other"):
        inventory.require_same_engine(adopted, {"build_info": "b1-own"}, hosts(studio_2=known))


def test_a_worker_is_nothing_else():
    inventory.require_worker_alone(hosts("studio-2"))
    also = hosts("studio-2")
    also["groups"]["llm_servers"] = ["studio-2"]
    with pytest.raises(LlamaCppError, match="llm_servers"):
        inventory.require_worker_alone(also)


def planned(host=MAC, release="/r", **variables):
    given = {f"llama_cpp_rpc_worker_{name}": value for name, value in {**OF_WORKER, **variables}.items()}
    typed = role_variables.typed_all(given, WORKER)
    return worker.plan(typed, configured({"service": {"scope": "system"}} if host is MAC else {}).config, host, release)


@pytest.mark.parametrize(
    "variables",
    [
        {"address": "8.8.8.8"}, {"address": "0.0.0.0"}, {"address": ""}, {"address": "10.13.1.2"},
        {"network": ""}, {"network": "0.0.0.0/0"}, {"network": "8.8.8.0/24", "address": "8.8.8.8"},
    ],
)  # fmt: skip
def test_an_address_that_strangers_may_reach_is_refused_before_anything_is_planned(variables):
    with pytest.raises(LlamaCppError, match=r"llama_cpp_rpc_worker_\w+: .*(private|IPv4)"):
        planned(release=None, **variables)


def test_a_worker_without_an_engine():
    config = configured({"llm_settings": {"enabled": False}}).config
    given = role_variables.typed_all({f"llama_cpp_rpc_worker_{name}": OF_WORKER[name] for name in OF_WORKER}, WORKER)
    with pytest.raises(LlamaCppError, match=r"llm_settings\.enabled"):
        worker.plan(given, config, LINUX, "/r")
    assert not worker.plan({**given, "state": "absent"}, config, LINUX, None)["wanted"]


@pytest.mark.parametrize(("host", "kind"), [(MAC, "plist"), (LINUX, "config")])
def test_what_runs_and_what_makes_it_run_anew(host, kind):
    plan = planned(host, device="MTL0", cache=True)
    told = json.loads(plan["file_set"]["files"][0]["content"])
    assert told["argv"][:5] == ["/r/bin/ggml-rpc-server", "--host", "10.13.0.2", "--port", "50052"]
    assert told["argv"][5:] == ["--device", "MTL0", "--cache"]
    assert told["listens_on"] == plan["endpoint"] == "10.13.0.2:50052"
    assert kind in plan["job"] and "rpc-worker" in plan["job"]["content"]
    if kind == "plist":
        definition = plistlib.loads(plan["job"]["content"].encode())
        assert definition["Label"] == plan["job"]["label"] and definition["UserName"] == MAC["user"]
    contents = {planned(host, **change)["job"]["content"] for change in ({}, {"release": "/s"}, {"port": 50053})}
    assert len(contents) == 3
    assert planned(host)["job"] == planned(host)["job"]
