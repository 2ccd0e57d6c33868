# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Turns a checked configuration and the facts of one host into the plan that every later stage reads.

Nothing after this reads the configuration file again, and nothing after this asks what kind of host it is.
"""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.llama.rpc_worker import PROGRAM
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import claims, commands, file_sets, jobs
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import engine as engine_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import models as model_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import paths as places
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import rollout as rollout_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import rpc as rpc_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import server as server_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import service as service_plan

#: Options of llama-server, keys before values: each with all its long names.
CACHE_OPTIONS = (("cache-type-k",), ("cache-type-v",))
DRAFT_CACHE_OPTIONS = (
    ("spec-draft-type-k", "cache-type-k-draft"),
    ("spec-draft-type-v", "cache-type-v-draft"),
)


def resolve(config, catalog, pins, host, locked=None, lock_file=None, tags=None, ready_timeout=None, workers=None):
    """The plan of one host.

    :param config: a valid configuration with every default filled in.
    :param catalog: known models by short name.
    :param pins: what is known about fixed engine versions (``config/engine_pins.json``).
    :param host: ``system`` (``Darwin``, ``Linux``), ``architecture``, ``home``, ``user``, ``uid``; ``launchctl``,
        ``daemons_dir`` and ``newsyslog_dir`` where they differ from macOS.
    :param locked: the entries of the lock file.
    :param lock_file: its path on the controller; None when there can be none.
    :param tags: the tags that it records, with their commits.
    :param ready_timeout: seconds that a changed server may take until it answers; None: as health.check_server has it.
    :param workers: what the RPC workers and this host offer, as the module rpc_workers tells; None: not asked.
    :raises LlamaCppError: the configuration asks for what this host or this release cannot do.
    """
    settings, client = config["llm_settings"], dict(config["client"])
    register = client.pop("register_with_llm")
    paths = places.paths(settings, host)

    def held(file):
        return lock.planned(file, catalog, locked or {}, lock_file)

    shared, allowed = config["server"]["arguments"], config["policy"].get("allowed_licenses")
    models = [
        model_plan.model(name, model, catalog, paths, host, held, shared, allowed)
        for name, model in rules.present(config).items()
    ]
    files = model_plan.files(models)
    default_model = settings.get("default_model") or models[0]["name"]
    served = next(model for model in models if model["name"] == default_model)
    device = engine_plan.device(settings, host)
    service = service_plan.service(config, paths, host)
    workers = rpc_plan.plan(config, device, workers)
    server = server_plan.server(config, models, served, paths, host, device, workers)
    watchdog = service_plan.watchdog(config, service, paths)
    engine = engine_plan.engine(config, pins, host, device, tags, lock_file)
    health = _health(server, served, paths, device, host)
    selftest = _selftest(paths, device)
    service.update(
        rollout=rollout_plan.rollout(paths, engine, server, service, health, ready_timeout),
        fingerprint=rollout_plan.fingerprint(server, service),
        description=service_plan.description(service, server, host),
    )
    plan = {
        "enabled": settings["enabled"],
        "features": config["feature_flags"],
        "host": host,
        "paths": paths,
        "engine": engine,
        "needed_programs": [PROGRAM] if workers else [],
        "selftest": selftest,
        "models": models,
        "absent_models": model_plan.absent(config, catalog, paths),
        "model": served,
        "files": files,
        "model_paths": [file["dest"] for file in files],
        "server": server,
        "workers": workers,
        "service": service,
        "health": health,
        # What a rollback needs, by playbook or by command (module_utils/service/rollback.py).
        "rollback": {"rollout": service["rollout"], "arguments": server["options"], "selftest": selftest},
        "watchdog": watchdog,
        "client": {"default_model": _asked(models, served), **client},
        "register_with_llm": register,
        "commands": commands.names(client),
        "policy": config["policy"],
        "lock_file": lock_file,
        "device": device,
        "tools": model_plan.for_tools(models, files, paths),
        "fit": _fit(config, models, files, catalog, device, host, paths, service, workers),
        "claims": claims.of(paths, server, service, watchdog),
        "places": claims.places(config["feature_flags"], paths, server, service, watchdog),
    }
    return {
        **plan,
        "environments": file_sets.environments(plan),
        "file_sets": file_sets.file_sets(plan),
        "jobs": jobs.jobs(plan),
        "mac_settings": service_plan.mac_settings(service),
    }


def _asked(models, served):
    """The model that the client asks: the default one, or the first that can answer."""
    return next((model["name"] for model in (served, *models) if model["purpose"] == "chat"), served["name"])


def _selftest(paths, device):
    """The model of the self-test, the answers that it must give, and the device that has to compute them."""
    return {
        "model": posixpath.join(paths["selftest_dir"], "selftest.gguf"),
        "answers": posixpath.join(paths["selftest_dir"], "answers.json"),
        "device": device,
    }


def _fit(config, models, files, catalog, device, host, paths, service, workers):
    """What the models need to be compared with the host's memory, and what can be had instead of one that does not fit.

    A model is told here by what it weighs and where that can be read before it is in its place.
    """
    return {
        "models": [
            {
                **{key: model.get(key) for key in ("name", "context_size", "purpose")},
                **_sized(model),
                "cache": _cache(config, model, CACHE_OPTIONS),
                "companions": [
                    {"role": file["role"], **_sized(file), "cache": _cache(config, model, DRAFT_CACHE_OPTIONS)}
                    for file in model["companions"]
                ],
            }
            for model in models
        ],
        "max_loaded": config["server"]["max_loaded_models"] if len(models) > 1 else 1,
        "files": files,
        "catalog": [
            {"name": name, "bytes": entry["bytes"], "purpose": entry["purpose"]}
            for name, entry in catalog.items()
            if "bytes" in entry
        ],
        "parallel": config["server"].get("parallel"),
        "device": device if device != "none" else None,
        "system": host["system"],
        "server": posixpath.join(paths["current"], "bin", "llama-server"),
        "workers_mb": workers and workers["total_mb"],
        "wired_limit_mb": service["wired_limit_mb"],
        "wired_limit_plist": service["wired_limit_plist"],
        "mac_record": service["mac_record"],
        "scope": service["scope"],
        "user": service["user"],
        "keep_awake": service["keep_awake"],
    }


def _cache(config, model, options):
    """The types in which keys and values of a context are kept, by the names of the ``options`` for either."""
    arguments = {**config["server"]["arguments"], **model["arguments"]}
    return [next((str(arguments[name]) for name in names if name in arguments), "f16") for names in options]


def _sized(file):
    """Where a planned file can be looked at, a local one before it is linked to its place, and its bytes."""
    sizes = [shard.get("bytes") for shard in file["shards"] or [file]]
    return {
        "path": file["source"].get("path", file["dest"]),
        "bytes": None if None in sizes else sum(sizes),
    }


def _health(server, model, paths, device, host):
    """How it is found out whether the service serves: keywords of llama/health.check_server."""
    return {
        "url": server["url"],
        "api_key_file": server["key_file"],
        "ca_file": server["ca_file"],
        "certificate": server["certificate"],
        "own": True,
        "require_key": server["key_file"] is not None,
        "model": model["name"],
        "purpose": model["purpose"],
        "server": posixpath.join(paths["current"], "bin", "llama-server"),
        "expected_device": None if device == "none" else device,
        "log_file": server["log_file"],
    }
