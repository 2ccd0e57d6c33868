# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a server is given to spread its model over RPC workers: their addresses, and how much of it each of them holds.

llama-server takes the devices of the workers first, in the order of ``--rpc``, and then its own GPUs
(``llama_prepare_model_devices`` in src/llama.cpp of llama.cpp 0c1e570); ``--tensor-split`` has a number for each.
"""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.engine import METAL

#: Free arguments by which the owner has divided the model already.
OWN_DIVISION = frozenset(("tensor-split", "device", "split-mode", "n-gpu-layers", "gpu-layers"))

#: A server that has lost a worker aborts. Without this ggml has a debugger look at it first, where there is one.
ENVIRONMENT = {"GGML_NO_BACKTRACE": "1"}


def endpoint_of(worker):
    """ "address:port" of a configured worker."""
    return f"{worker['address']}:{worker['port']}"


def endpoints(config):
    """The configured workers: endpoint -> MiB that are declared, or None."""
    return {endpoint_of(worker): worker.get("memory_mb") for worker in config["server"].get("rpc_workers", ())}


def plan(config, device, found):
    """The plan's part about the workers of the server; None without any.

    ``options``    those of llama-server, as pairs
    ``memory``     endpoint -> MiB of each device as text; empty where it is not known
    ``total_mb``   MiB of all workers; None where that of one is not known

    :param device: what the server itself computes on, as engine.device() tells.
    :param found: ``offers``, endpoint -> MiB of each device, and ``own_mb``, MiB of this host's own GPU, as the module
        rpc_workers returns them; None where the host was not asked.
    """
    wanted = list(endpoints(config))
    if not wanted:
        return None
    if device == "none":
        raise LlamaCppError(
            "llm_settings.metal_acceleration: expected: true, since server.rpc_workers is set: without devices of its "
            "own llama-server uses no worker either. Nothing was changed."
        )
    offers = (found or {}).get("offers", {})
    known = all(endpoint in offers for endpoint in wanted)
    memory = [size for endpoint in wanted for size in offers.get(endpoint, ())]
    return {
        "options": [
            ("rpc", ",".join(wanted)),
            ("tensor-split", _split(config, device, memory, found["own_mb"]) if known else None),
        ],
        "memory": {endpoint: ",".join(map(str, offers.get(endpoint, ()))) for endpoint in wanted},
        "total_mb": sum(memory) if known else None,
    }


def question(config, plan, mac_programs):
    """The options of the module rpc_workers for the server of ``plan``."""
    service = plan["service"]
    return {
        "workers": endpoints(config),
        "runner_config": service["runner"]["config"],
        "state_file": service["runner"]["state_file"],
        "device": plan["device"],
        "wired_limit_mb": service["wired_limit_mb"],
        **{name: path for name, path in mac_programs.items() if name == "sysctl"},
    }


def _split(config, device, memory, own_mb):
    """The value of --tensor-split; None to leave it to llama-server, which divides by what is free when it starts."""
    server, engine = config["server"], config["engine"]
    free = {*server["arguments"], *(name for model in config["models"].values() for name in model["arguments"])}
    if free & OWN_DIVISION:
        return None
    if device == METAL:
        memory = [*memory, own_mb] if own_mb else None
    elif engine["source"] not in ("git", "pypi", "archive") or engine["cmake_options"]:
        return None  # it may have GPUs that only it knows
    return ",".join(map(str, memory)) if memory else None
