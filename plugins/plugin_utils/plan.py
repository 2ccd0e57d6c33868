# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Turns a checked configuration and the facts of one host into the plan that every later stage reads.

Nothing after this reads the configuration file again, and nothing after this asks what kind of host it is.
"""

from __future__ import annotations

import hashlib
import os
import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.host import MANAGED_BY
from ansible_collections.macos_setup.llm.plugins.module_utils.mac_power import KEEP_AWAKE
from ansible_collections.macos_setup.llm.plugins.module_utils.model_set import part_names
from ansible_collections.macos_setup.llm.plugins.module_utils.supervisor_config import SOCKET_BYTES
from ansible_collections.macos_setup.llm.plugins.plugin_utils import (
    claims,
    companions,
    launchd_plan,
    lock,
    rules,
    server_plan,
)
from ansible_collections.macos_setup.llm.plugins.plugin_utils.configuration import listed
from ansible_collections.macos_setup.llm.plugins.plugin_utils.server_plan import expanded

SERVICE_NAME = "com.llama.server"
WATCHDOG_NAME = "com.llama.watchdog"
SOCKET = "supervisor.sock"
METAL = "MTL0"

#: From the first request to stop to the second, which ends a server that a request in flight keeps from ending; and
#: from the first until the service manager kills what is left.
STOP_SECONDS, KILL_SECONDS = 10, 20

#: How soon a server that died may be started again.
THROTTLE_SECONDS = 10

#: A server that ends by itself so soon after its start, so often in a row, is left alone.
FAST_EXIT = {"seconds": 60, "limit": 5}

#: What has run for so long counts as started.
START_SECONDS = 1

#: What is to be known of a file to have it in its place, and what a companion must be by its header.
FILE_KEYS = ("path", "url", "huggingface", "source_path", "bytes", "sha256", "parts", "mirrors", "locked_by")
KINDS = {"mmproj": "mmproj", "draft_model": "model", "lora": "adapter"}

BUILD_TARGETS = ("llama-server", "llama-cli", "llama-bench", "llama-fit-params")
RPC_TARGET = "ggml-rpc-server"

#: .github/workflows/release.yml of llama.cpp at 0c1e570.
OFFICIAL_RELEASE = (
    "https://github.com/ggml-org/llama.cpp/releases/download/{version}/llama-{version}-bin-macos-{kind}.tar.gz"
)


def resolve(config, catalog, pins, host, locked=None, lock_file=None):
    """The plan of one host.

    :param config: a valid configuration with every default filled in.
    :param catalog: known models by short name.
    :param pins: what is known about fixed engine versions (``config/engine_pins.json``).
    :param host: ``system`` (``Darwin``, ``Linux``), ``architecture``, ``home``, ``user``, ``uid``; ``daemons_dir`` and
        ``newsyslog_dir`` where they differ from macOS.
    :param locked: the entries of the lock file.
    :param lock_file: its path on the controller; None when there can be none.
    :raises LlamaCppError: the configuration asks for what this host or this release cannot do.
    """
    settings = config["llm_settings"]
    paths = _paths(settings, host)

    def held(file):
        return lock.planned(file, catalog, locked or {}, lock_file)

    models = [
        {**_model(name, model, catalog, paths, host, held), **held(model)}
        for name, model in rules.present(config).items()
    ]
    default_model = settings.get("default_model") or models[0]["name"]
    served = next(model for model in models if model["name"] == default_model)
    device = _device(settings, host)
    service = _service(config, paths, host)
    server = server_plan.server(config, models, served, paths, host, device)
    watchdog = _watchdog(config, service, paths)
    return {
        "managed_by": MANAGED_BY,
        "enabled": settings["enabled"],
        "features": config["feature_flags"],
        "host": host,
        "paths": paths,
        "engine": _engine(config, pins, host, device),
        "models": models,
        "model_paths": [path for model in models for _name, file in _files(model) for path in part_names(file["path"])],
        "absent_models": _absent_models(config, catalog, paths),
        "model": served,
        "files": [{**file, "name": name} for model in models for name, file in _files(model)],
        "server": server,
        "service": service,
        "health": _health(server, served, paths, device),
        "watchdog": watchdog,
        "client": {"default_model": _asked(models, served), **config["client"]},
        "policy": config["policy"],
        "lock_file": lock_file,
        "device": device,
        "fit": _fit(config, models, catalog, device),
        "claims": claims.of(paths, server, service, watchdog),
    }


def _asked(models, served):
    """The model that the client asks: the default one, or the first that can answer."""
    return next((model["name"] for model in (served, *models) if model["purpose"] == "chat"), served["name"])


def _device(settings, host):
    """What the engine must compute on, as its ``--device`` names it; None leaves that to the engine."""
    if host["system"] != "Darwin":
        return None
    # Binaries that came from elsewhere may have Metal although the owner wants none.
    return METAL if settings["metal_acceleration"] else "none"


def _fit(config, models, catalog, device):
    """What the models need to be compared with the host, and what can be had instead of one that does not fit."""
    keys = ("name", "context_size", "bytes", "purpose")
    return {
        "models": [
            {
                **{key: model.get(key) for key in keys},
                # A local file can be looked at before it is linked to its place.
                "path": model.get("source_path", model["path"]),
                "download": "source_path" not in model,
            }
            for model in models
        ],
        "catalog": [
            {"name": name, "bytes": entry["bytes"], "purpose": entry["purpose"]}
            for name, entry in catalog.items()
            if "bytes" in entry
        ],
        "parallel": config["server"].get("parallel"),
        "device": device if device != "none" else None,
    }


def _paths(settings, host):
    install = expanded(settings["install_dir"], host)

    def below(*parts):
        return posixpath.join(install, *parts)

    return {
        "install_dir": install,
        "engine_dir": below("engine"),
        "releases_dir": below("engine", "releases"),
        "current": below("engine", "current"),
        "selftest_dir": below("engine", "selftest"),
        "models_dir": expanded(settings["models_dir"], host) if "models_dir" in settings else below("models"),
        "logs_dir": expanded(settings["logs_dir"], host) if "logs_dir" in settings else below("logs"),
        "bin_dir": expanded(settings["bin_dir"], host),
        "service_dir": below("service"),
        "tools_dir": below("tools"),
        "client_config": below("tools", "client.json"),
        "manifest": below("manifest.json"),
    }


def _model(name, model, catalog, paths, host, held):
    entry = catalog.get(model.get("catalog"), {})
    sizes = {key: model.get(key, entry.get(key)) for key in ("bytes", "sha256")}
    plan = {
        "name": name,
        "path": posixpath.join(paths["models_dir"], rules.filename_of(model, catalog)),
        "purpose": model.get("purpose") or entry.get("purpose") or "chat",
        "aliases": model["aliases"],
        "companions": [
            {"role": place[0], **_companion(companion, paths, host), **held(companion)}
            for place, companion in companions.of(model)
        ],
        "description": model.get("description") or entry.get("description") or "",
        "license": rules.licence_of(model, catalog),
        "context_size": model.get("context_size"),
        "arguments": model["arguments"],
        "bundled": entry.get("bundled"),
        "mirrors": model["mirrors"],
        **{key: value for key, value in sizes.items() if value is not None},
        **({"parts": model["parts"]} if "parts" in model else {}),
    }
    if any(source in model for source in companions.SOURCES):
        plan.update(_source(model, host))
    elif entry.get("bundled"):
        plan["source_path"] = posixpath.join(paths["selftest_dir"], posixpath.basename(entry["bundled"]))
    else:
        plan["huggingface"] = {
            "repo": entry["repo"],
            "file": entry["file"],
            "revision": entry.get("revision", "main"),
        }
    return plan


def _source(file, host):
    """Where a configured file comes from, as the module that fetches it wants to know."""
    if "path" in file:
        return {"source_path": expanded(file["path"], host)}
    return {key: file[key] for key in ("url", "huggingface") if key in file}


def _companion(companion, paths, host):
    kept = {key: companion[key] for key in ("bytes", "sha256", "type", "scale") if key in companion}
    path = posixpath.join(paths["models_dir"], rules.filename_of(companion, {}))
    return {"path": path, **kept, **_source(companion, host)}


def _files(model):
    """Pairs of a name for messages and a file to have: the model's own and those beside it."""
    yield model["name"], {"kind": "model", **{key: model[key] for key in FILE_KEYS if key in model}}
    for companion in model["companions"]:
        name = f"{model['name']} ({companion['role']})"
        kind = KINDS[companion["role"]]
        yield name, {"kind": kind, **{key: companion[key] for key in FILE_KEYS if key in companion}}


def _absent_models(config, catalog, paths):
    return [
        {"name": name, "path": posixpath.join(paths["models_dir"], rules.filename_of(model, catalog))}
        for name, model in config["models"].items()
        if model["state"] == "absent"
    ]


def _engine(config, pins, host, device):
    engine = config["engine"]
    version = engine["version"]
    plan = {
        "source": engine["source"],
        "version": version,
        "keep_releases": engine["keep_releases"],
        "targets": [],
        "options": {},
    }
    if engine["source"] == "existing":
        plan["path"] = expanded(engine["path"], host)
        return plan
    if engine["source"] == "homebrew":
        plan["path"] = posixpath.join(_homebrew(engine, host), "opt", "llama.cpp")
        return plan
    if engine["source"] in ("archive", "release"):
        plan["archive"] = _archive(engine, host)
        if engine["source"] == "release":
            return plan
    elif engine["source"] == "pypi":
        pin = pins["pypi"].get(version)
        if pin is None:
            raise LlamaCppError(
                'engine.version: "{}" is not among the commits that a package on the index is known to carry; '
                'wanted: {}, or engine.source "git". Nothing was changed.'.format(version, listed(sorted(pins["pypi"])))
            )
        plan["pypi"] = pin
    else:
        plan["url"] = engine["url"]
    plan["targets"] = [*BUILD_TARGETS, *([RPC_TARGET] if engine["rpc"] else [])]
    plan["options"] = _cmake_options(config, host, metal=device == METAL)
    return plan


def _homebrew(engine, host):
    """The prefix of Homebrew: as configured, else where it is installed on such a host."""
    if "path" in engine:
        return expanded(engine["path"], host)
    if host["system"] != "Darwin":
        return "/home/linuxbrew/.linuxbrew"
    return "/opt/homebrew" if host["architecture"] == "arm64" else "/usr/local"


def _archive(engine, host):
    """Where the archive is, and its hash; an official release is known by its version."""
    plan = {"sha256": engine["sha256"]}
    if "path" in engine:
        return {**plan, "path": expanded(engine["path"], host)}
    if engine["url"] != rules.REPOSITORY:
        return {**plan, "url": engine["url"]}
    if host["system"] != "Darwin":
        raise LlamaCppError(
            'engine.source: "release" knows the official programs for macOS and this host runs {}; give engine.url or '
            "engine.path, or choose another source. Nothing was changed.".format(host["system"])
        )
    kind = "arm64" if host["architecture"] == "arm64" else "x64"
    return {**plan, "url": OFFICIAL_RELEASE.format(version=engine["version"], kind=kind)}


def _cmake_options(config, host, metal):
    """CMake cache entries by name. Names and defaults: facts of llama.cpp at the pinned commit, docs/engine.md."""
    engine = config["engine"]
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        # One self-contained file each: no rpath that breaks when a release directory moves.
        "BUILD_SHARED_LIBS": False,
        # Homebrew's libomp or OpenSSL must not creep into the binary: its upgrade would break the server.
        "GGML_OPENMP": False,
        "LLAMA_OPENSSL": "tls" in config["server"],
        "LLAMA_BUILD_TESTS": False,
        "LLAMA_BUILD_EXAMPLES": False,
        "LLAMA_BUILD_APP": False,
        "LLAMA_BUILD_UI": False,
        # Otherwise the compilation itself downloads the web page.
        "LLAMA_USE_PREBUILT_UI": engine["web_ui"],
        "GGML_NATIVE": True,
        "GGML_RPC": engine["rpc"],
    }
    if host["system"] == "Darwin":
        options.update(
            {
                "GGML_METAL": metal,
                # Kernels are compiled at run time, so Apple's command line tools suffice.
                "GGML_METAL_EMBED_LIBRARY": metal,
                "GGML_ACCELERATE": True,
                "GGML_BLAS": True,
                "GGML_BLAS_VENDOR": "Apple",
                # An Intel CMake under Rosetta would otherwise build for the wrong processor.
                "CMAKE_OSX_ARCHITECTURES": host["architecture"],
            }
        )
    options.update(engine["cmake_options"])
    return {name: _cmake_value(value) for name, value in sorted(options.items())}


def _cmake_value(value):
    return {True: "ON", False: "OFF"}[value] if isinstance(value, bool) else str(value)


def _health(server, model, paths, device):
    """How it is found out whether the service serves: keywords of server_health.check_server."""
    return {
        "url": server["url"],
        "api_key_file": server["key_file"],
        "ca_file": server["ca_file"],
        "require_key": server["key_file"] is not None,
        "model": model["name"],
        "purpose": model["purpose"],
        "server": posixpath.join(paths["current"], "bin", "llama-server"),
        "expected_device": None if device == "none" else device,
        "log_file": server["log_file"],
    }


def _service(config, paths, host):
    manager = config["service"]["manager"]
    if manager == "auto":
        manager = "launchd" if host["system"] == "Darwin" else "supervisor"
    if manager == "launchd" and host["system"] != "Darwin":
        raise LlamaCppError(
            'service.manager: "launchd" exists on macOS only and this host runs {}; wanted: "auto" or "supervisor". '
            "Nothing was changed.".format(host["system"])
        )
    launchd_plan.check_user(config["service"], manager, host)
    directory, mac = paths["service_dir"], host["system"] == "Darwin"
    keep_awake = config["service"]["keep_awake"] and mac
    plan = {
        "manager": manager,
        "name": SERVICE_NAME,
        "scope": config["service"]["scope"],
        "user": host["user"],
        "auto_start": config["llm_settings"]["auto_start"],
        "keep_awake": keep_awake,
        # A setting of the whole Mac, which takes root: part of what a daemon of the system is for.
        "autorestart": keep_awake and config["service"]["scope"] == "system",
        "wired_limit_mb": config["service"]["wired_limit_mb"] if mac else 0,
        "launcher": posixpath.join(directory, "llama-server"),
        "home": posixpath.join(directory, "home"),
        "run_dir": posixpath.join(directory, "run"),
        "record": posixpath.join(directory, "proven.json"),
        "output_file": posixpath.join(paths["logs_dir"], "service.log"),
        "environment_dir": posixpath.join(directory, "venv"),
        "python": posixpath.join(directory, "venv", "bin", "python"),
        "stop_seconds": KILL_SECONDS,
        "start_seconds": START_SECONDS,
        "throttle_seconds": THROTTLE_SECONDS,
        "runner": {
            "directory": posixpath.join(directory, "runner"),
            "config": posixpath.join(directory, "runner.json"),
            "state_file": posixpath.join(directory, "run", "llama-server.json"),
            "beside": list(KEEP_AWAKE) if keep_awake else [],
            "rotation": {
                "max_bytes": config["service"]["log_rotation"]["max_megabytes"] * 1_000_000,
                "keep": config["service"]["log_rotation"]["keep"],
            },
            "stop_seconds": STOP_SECONDS,
            # One more than it takes to count as started: a supervisord repeats a start that failed, however it ended.
            "fast_exit": {**FAST_EXIT, "settle_seconds": START_SECONDS + 1},
        },
    }
    public, private = [paths["logs_dir"], directory], [plan["home"], plan["run_dir"]]
    if manager == "launchd":
        plan.update(launchd_plan.places(plan["scope"], SERVICE_NAME, host))
        if plan["scope"] == "user":
            public.append(plan["directory"])
    else:
        plan["program"] = "llama-server"
        plan["definition"] = posixpath.join(directory, "supervisord.conf")
        plan["supervisord"] = posixpath.join(directory, "venv", "bin", "supervisord")
        plan["supervisord_log"] = posixpath.join(paths["logs_dir"], "supervisord.log")
        plan["pid_file"] = posixpath.join(plan["run_dir"], "supervisord.pid")
        plan["socket"] = _socket(directory)
        private.append(posixpath.dirname(plan["socket"]))
    # u+rwx leaves a directory that may be the owner's as open or closed as it is.
    plan["directories"] = [{"path": path, "mode": "u+rwx", "kind": "directory"} for path in public]
    plan["directories"] += [{"path": path, "mode": "0700", "kind": "tree"} for path in dict.fromkeys(private)]
    return plan


def _watchdog(config, service, paths):
    """The watchdog beside the service; ``client`` is what client.json tells it. It is one of the commands."""
    settings = dict(config["service"]["watchdog"])
    return {
        "enabled": settings.pop("enabled") and config["feature_flags"]["install_client_tools"],
        "name": WATCHDOG_NAME,
        "program": "llama-watchdog",
        "definition": posixpath.join(posixpath.dirname(service["definition"]), WATCHDOG_NAME + ".plist"),
        "launcher": posixpath.join(paths["service_dir"], "llama-watchdog"),
        "client": {
            **settings,
            "idle_unload_seconds": config["server"].get("idle_unload_seconds"),
            "log": posixpath.join(paths["logs_dir"], "watchdog.log"),
            "state_file": posixpath.join(service["run_dir"], "watchdog.json"),
        },
    }


def _socket(directory):
    """supervisord's socket: beside its configuration, or below /tmp when that path is longer than a socket's may be."""
    path = posixpath.join(directory, "run", SOCKET)
    if len(os.fsencode(path)) <= SOCKET_BYTES:
        return path
    return f"/tmp/llama-cpp-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}/{SOCKET}"
