# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Heads and workers by the groups of the inventory: whose worker a host is, and whether both have the same engine.

A head is a host whose server spreads its model over workers.
"""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.rpc import endpoint_of

HEADS, WORKERS = "llm_rpc_heads", "llm_rpc_workers"
ADDRESS, PORT = (f"{role_variables.WORKER}_{name}" for name in ("address", "port"))


def configured(variables, task_vars):
    """The OfHost for ``variables``. Where the configuration names no workers, a head has those of the inventory.

    :raises LlamaCppError: the configuration is wrong, or the groups do not say whose workers they are.
    """
    found = of_host(variables)
    if "rpc_workers" in found.config["server"]:
        return found
    workers = _workers_of(task_vars)
    if not workers:
        return found
    return of_host({**variables, "overrides": load.merge(variables["overrides"], {"server": {"rpc_workers": workers}})})


def _workers_of(task_vars):
    """The workers of the host as the configuration names them; empty where it is no head."""
    groups = task_vars["groups"]
    if task_vars["inventory_hostname"] not in groups.get(HEADS, ()):
        return []
    names = groups.get(WORKERS) or []
    if not names:
        raise LlamaCppError(
            f"The inventory has this host in the group {HEADS} and none in {WORKERS}. Nothing was changed. Put its "
            "workers there, or set server.rpc_workers."
        )
    if len(groups[HEADS]) > 1:
        raise LlamaCppError(
            f"The group {HEADS} has several hosts ({', '.join(groups[HEADS])}), and a worker serves one. Nothing was "
            "changed. Say which workers are this host's, in its llama_cpp_overrides: "
            '{"server": {"rpc_workers": [{"address": …}]}}'
        )
    hosts = {name: task_vars["hostvars"][name] for name in names}
    without = [name for name in names if not hosts[name].get(ADDRESS)]
    if without:
        raise LlamaCppError(f"{ADDRESS} is not set for {', '.join(without)}. Nothing was changed.")
    return [_address(host) for host in hosts.values()]


def require_worker_alone(task_vars):
    """Raise LlamaCppError for a worker that is a head or a server as well: one memory cannot be offered twice, and the
    engine of a server changes with the server alone.
    """
    name, groups = task_vars["inventory_hostname"], task_vars["groups"]
    also = [group for group in (HEADS, "llm_servers") if name in groups.get(group, ())]
    if also:
        raise LlamaCppError(
            f"  The inventory has this RPC worker in {' and '.join(also)} as well; expected: in {WORKERS} alone, since "
            "a worker offers the memory of the whole machine."
        )


def require_same_engine(configured, release, task_vars):
    """Raise LlamaCppError when a worker of the inventory has, or is to have, another engine than its head.

    :param configured: the OfHost of the head; ``release`` is what its look found of its release.
    """
    own, others = _engine(configured.config, release, configured.tags), {}
    used = {endpoint_of(worker) for worker in configured.config["server"]["rpc_workers"]}
    for name in task_vars["groups"].get(WORKERS, ()):
        host = task_vars["hostvars"][name]
        if endpoint_of(_address(host)) in used:
            other = _engine_of(name, host)
            if None not in (own[0], other[0]) and own[0] != other[0]:
                others[name] = other[1]
    if others:
        lines = [f"  {name}: {told}" for name, told in {task_vars["inventory_hostname"]: own[1], **others}.items()]
        raise LlamaCppError(
            "\n".join(
                [
                    "A head and its workers must have the same llama.cpp; nothing was changed.",
                    *lines,
                    "Give all of them the same engine.source and engine.version, then: ansible-playbook "
                    "playbooks/rpc.yml",
                ]
            )
        )


def _address(host):
    """The address of a worker as the configuration has it, from the variables of the host."""
    given = {name: host[name] for name in (ADDRESS, PORT) if name in host}
    values = role_variables.typed_all(given, role_variables.WORKER)
    return {key: values[key] for key in ("address", "port")}


def _engine_of(name, host):
    given = {key: host[key] for key in (*role_variables.options(), *role_variables.OF_PLAYBOOKS) if key in host}
    try:
        found = of_host(role_variables.with_settings(role_variables.typed_all(given)))
    except LlamaCppError as error:
        raise LlamaCppError(f"{name}: {error}") from None
    return _engine(found.config, (host.get("__llama_cpp_plan") or {}).get("release"), found.tags)


def _engine(config, release, tags):
    """(what has to be the same at both ends, or None where that is not known; the engine in words)."""
    engine, release = config["engine"], release or {}
    if engine["source"] in ("existing", "homebrew"):
        code = release.get("build_info")
    elif engine["source"] == "archive" or (engine["source"] == "release" and engine["url"] != rules.REPOSITORY):
        code = engine["sha256"]
    else:
        code = (tags or {}).get(lock.tag_of(engine)) or engine["version"]
    said = [f"llama.cpp {code or 'of unknown version'}", f"engine.source {engine['source']}"]
    return code, ", ".join([*said, *([f"release {release['name']}"] if release.get("name") else [])])
