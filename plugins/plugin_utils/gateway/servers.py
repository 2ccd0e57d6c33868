# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From the configurations of the hosts behind a gateway to its servers and models."""

from __future__ import annotations

import re

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.loopback import is_loopback
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import rules

#: What HAProxy takes as the name of a server.
NAME = re.compile(r"[A-Za-z0-9_.:-]+")

#: A server that listens on one of these is reached at an address that it does not tell.
WILDCARDS = ("0.0.0.0", "::")

#: Among the origins of a host: all of them.
ANY = "*"

#: How many requests a model computes at once when ``server.parallel`` is not set (llama.cpp 0c1e570, ``-np -1``).
DEFAULT_SLOTS = 4


def server(name, config, variables, is_near):
    """The host ``name`` as the gateway sees it: ``name``, ``address``, ``port``, ``tls``, ``slots``, ``agent_port``,
    ``origins``, and ``models``, a dict of model name to its aliases.

    :param config: the checked configuration of the host.
    :param variables: the variables of the host; ``llama_cpp_gateway_server_address`` and ``ansible_host`` are read.
    :param is_near: whether gateway and server run on the same machine.
    :raises LlamaCppError: with everything that keeps the gateway from using the host.
    """
    settings = config["llm_settings"]
    listens = settings["server_host"]
    address = variables.get("llama_cpp_gateway_server_address") or (
        listens if listens not in WILDCARDS else "127.0.0.1" if is_near else variables.get("ansible_host") or name
    )
    wrong = []
    if not NAME.fullmatch(name):
        wrong.append("HAProxy cannot use this name; expected: letters, digits, dots, dashes, underscores and colons.")
    if not (settings["enabled"] and settings["auto_start"] and config["feature_flags"]["setup_service"]):
        needed = "llm_settings.enabled, llm_settings.auto_start and feature_flags.setup_service"
        wrong.append(f"{needed} must be true, or no server runs there.")
    if is_loopback(address) and not is_near:
        wrong.append(
            f"its server listens on {address}, which the gateway cannot reach. Set llm_settings.server_host to its "
            "address in the private network or to 0.0.0.0, or name llama_cpp_gateway_server_address."
        )
    if config["server"]["api_key"] == "auto":
        wrong.append(
            'server.api_key is "auto", a key that only this host knows. The gateway has one key for all hosts: set '
            "server.api_key to the path of a file with it; playbooks/gateway.yml writes that file."
        )
    if wrong:
        raise LlamaCppError("\n".join(f"  {name}: {what}" for what in wrong))
    return {
        "name": name,
        "address": f"[{address}]" if ":" in address else address,
        "port": settings["server_port"],
        "tls": "tls" in config["server"],
        "needs_key": config["server"]["api_key"] != "none",
        "slots": config["server"].get("parallel", DEFAULT_SLOTS),
        "agent_port": _agent_port(config),
        "origins": list(config["server"]["cors_origins"]),
        "models": {model: list(value["aliases"]) for model, value in rules.present(config).items()},
    }


def _agent_port(config):
    """On which port the host tells whether it answers; None: it does not."""
    watchdog = config["service"]["watchdog"]
    runs = watchdog["enabled"] and config["feature_flags"]["install_client_tools"]
    return watchdog["agent"]["port"] if runs and "agent" in watchdog else None


def origins(servers):
    """The web origins that all ``servers`` allow to call them."""
    named = dict.fromkeys(origin for host in servers for origin in host["origins"])
    return [origin for origin in named if all(origin in host["origins"] or ANY in host["origins"] for host in servers)]


def models(servers):
    """The models of ``servers``, sorted by name: ``name``, ``aliases``, ``backend`` and the names of its ``servers``.

    :raises LlamaCppError: a name means one model on one host and another model on another.
    """
    aliases, hosts = {}, {}
    for host in servers:
        for model, others in host["models"].items():
            aliases.setdefault(model, set()).update(others)
            hosts.setdefault(model, []).append(host["name"])
    owners = {model: model for model in aliases}
    for model in sorted(aliases):
        for alias in sorted(aliases[model]):
            owner = owners.setdefault(alias, model)
            if owner != model:
                raise LlamaCppError(
                    f'  models.{model}.aliases: "{alias}" also means {owner} on another host behind the gateway. Use '
                    "each name for one model."
                )
    return [
        {"name": model, "aliases": sorted(aliases[model]), "backend": f"model_{model}", "servers": hosts[model]}
        for model in sorted(aliases)
    ]
