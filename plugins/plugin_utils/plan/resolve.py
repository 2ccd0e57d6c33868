# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Turns a checked configuration and the facts of one host into the plan that every later stage reads.

Nothing after this reads the configuration file again, and nothing after this asks what kind of host it is.
"""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import claims
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import engine as engine_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import models as model_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import paths as places
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import server as server_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import service as service_plan


def resolve(config, catalog, pins, host, locked=None, lock_file=None, tags=None):
    """The plan of one host.

    :param config: a valid configuration with every default filled in.
    :param catalog: known models by short name.
    :param pins: what is known about fixed engine versions (``config/engine_pins.json``).
    :param host: ``system`` (``Darwin``, ``Linux``), ``architecture``, ``home``, ``user``, ``uid``; ``daemons_dir`` and
        ``newsyslog_dir`` where they differ from macOS.
    :param locked: the entries of the lock file.
    :param lock_file: its path on the controller; None when there can be none.
    :param tags: the tags that it records, with their commits.
    :raises LlamaCppError: the configuration asks for what this host or this release cannot do.
    """
    settings = config["llm_settings"]
    paths = places.paths(settings, host)

    def held(file):
        return lock.planned(file, catalog, locked or {}, lock_file)

    models = [
        model_plan.model(name, model, catalog, paths, host, held) for name, model in rules.present(config).items()
    ]
    files = model_plan.files(models)
    default_model = settings.get("default_model") or models[0]["name"]
    served = next(model for model in models if model["name"] == default_model)
    device = engine_plan.device(settings, host)
    service = service_plan.service(config, paths, host)
    server = server_plan.server(config, models, served, paths, host, device)
    watchdog = service_plan.watchdog(config, service, paths)
    return {
        "managed_by": MANAGED_BY,
        "enabled": settings["enabled"],
        "features": config["feature_flags"],
        "host": host,
        "paths": paths,
        "engine": engine_plan.engine(config, pins, host, device, tags, lock_file),
        "models": models,
        "absent_models": model_plan.absent(config, catalog, paths),
        "model": served,
        "files": files,
        "server": server,
        "service": service,
        "health": _health(server, served, paths, device, host),
        "watchdog": watchdog,
        "client": {"default_model": _asked(models, served), **config["client"]},
        "policy": config["policy"],
        "lock_file": lock_file,
        "device": device,
        "tools": model_plan.for_tools(models, files),
        "fit": _fit(config, models, catalog, device),
        "claims": claims.of(paths, server, service, watchdog),
        "places": claims.places(config["feature_flags"], paths, server, service, watchdog),
    }


def _asked(models, served):
    """The model that the client asks: the default one, or the first that can answer."""
    return next((model["name"] for model in (served, *models) if model["purpose"] == "chat"), served["name"])


def _fit(config, models, catalog, device):
    """What the models need to be compared with the host's memory, and what can be had instead of one that does not fit.

    A model is told here by what it weighs and where that can be read before it is in its place.
    """
    return {
        "models": [
            {
                **{key: model.get(key) for key in ("name", "context_size", "purpose")},
                **_sized(model),
                "companions": [{"role": file["role"], **_sized(file)} for file in model["companions"]],
            }
            for model in models
        ],
        "max_loaded": config["server"]["max_loaded_models"] if len(models) > 1 else 1,
        "catalog": [
            {"name": name, "bytes": entry["bytes"], "purpose": entry["purpose"]}
            for name, entry in catalog.items()
            if "bytes" in entry
        ],
        "parallel": config["server"].get("parallel"),
        "device": device if device != "none" else None,
    }


def _sized(file):
    """Where a planned file can be looked at, a local one before it is linked to its place, and its bytes."""
    sizes = [shard.get("bytes") for shard in file["shards"] or [file]]
    return {
        "path": file["source"].get("path", file["dest"]),
        "bytes": None if None in sizes else sum(sizes),
    }


def _health(server, model, paths, device, host):
    """How it is found out whether the service serves: keywords of server_health.check_server."""
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
