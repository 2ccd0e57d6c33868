# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What llama-server is started with: one model by itself, or several behind its own router.

A router starts a llama-server for each model that is asked for. What stands on its own command line wins over all that
its ``models.ini`` says of any model (tools/server/server-models.cpp of llama.cpp 0c1e570), so there stands only what
belongs to the process that listens.
"""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import shard_names
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import auxiliary_files, models_ini, rpc
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded

#: A stream in flight keeps llama-server from stopping until its next ping.
SSE_PING_SECONDS = 2

#: After so long without a byte of a request, or without the client taking one of the answer, llama-server drops a
#: connection; how long an answer takes to compute does not count (cpp-httplib's read and write timeout). For a router
#: it would: that waits no longer for the answers of its models.
TRANSFER_SECONDS = 60

#: How long a router waits for a model to end before it kills it; less than the runner waits for the router.
MODEL_STOP_SECONDS = 5

#: Free arguments that mean the process that listens, not a model.
LISTENER_ARGUMENTS = frozenset(
    (
        *("threads-http", "timeout", "reuse-port", "models-autoload", "verbose", "verbosity", "log-verbosity"),
        *("log-colors", "log-prefix", "log-timestamps", "log-jsonl"),
    )
)


def server(config, models, default, paths, host, device, workers=None):
    """The server's part of the plan.

    :param models: all planned models; ``default`` is the one of them that is asked when no other is named.
    :param workers: the RPC workers, as plan/rpc.py plans them, or None.
    :raises LlamaCppError: a path or an option has no way into llama-server.
    """
    settings, server = config["llm_settings"], config["server"]
    tls = {key: expanded(path, host) for key, path in server.get("tls", {}).items()}
    key_file = {
        "auto": posixpath.join(paths["service_dir"], "api-key"),
        "none": None,
    }.get(server["api_key"], expanded(server["api_key"], host))
    listener = [
        ("host", settings["server_host"]),
        ("port", settings["server_port"]),
        ("ssl-cert-file", tls.get("certificate")),
        ("ssl-key-file", tls.get("private_key")),
        ("cors-origins", ",".join(server["cors_origins"])),
        ("sse-ping-interval", SSE_PING_SECONDS),
        ("offline", True),
        ("ui", bool(config["engine"]["web_ui"])),
        ("metrics", server["metrics"] or None),
    ]
    shared = [
        ("parallel", server.get("parallel")),
        ("sleep-idle-seconds", server.get("idle_unload_seconds")),
        ("device", device if device == "none" else None),
        *(workers["options"] if workers else ()),
    ]
    plan = {
        "program": posixpath.join(paths["current"], "bin", "llama-server"),
        "host": settings["server_host"],
        "port": settings["server_port"],
        "url": _url(settings, tls),
        "key_file": key_file,
        "generate_key": server["api_key"] == "auto",
        "private_files": {
            setting: path
            for setting, path in (("server.api_key", key_file), ("server.tls.private_key", tls.get("private_key")))
            if path
        },
        "ca_file": tls.get("ca_certificate") or tls.get("certificate"),
        "certificate": tls.get("certificate"),
        "log_file": posixpath.join(paths["logs_dir"], "llama-server.log"),
        "inputs": [path for model in models for path in _files(model)],
        "needed": _files(default),
        "awaits": {"workers": workers["memory"]} if workers else {},
        "environment": rpc.ENVIRONMENT if workers else {},
    }
    if len(models) > 1:
        return {**plan, **_router(config, models, default, paths, listener, shared, key_file)}
    free = {**server["arguments"], **default["arguments"]}
    own = [("alias", ",".join([default["name"], *default["aliases"]])), ("api-key-file", key_file)]
    free.setdefault("timeout", TRANSFER_SECONDS)
    arguments = command_line([*_model_options(default), *own, *listener, *shared, *free.items()])
    return {**plan, "arguments": arguments, "options": arguments, "key_files": {}, "presets": None}


def _files(model):
    """The paths of all files of a planned model."""
    return [path for file in (model, *model["companions"]) for path in shard_names(file["dest"])]


def _router(config, models, default, paths, listener, shared, key_file):
    server = config["server"]
    free = {True: [], False: []}
    for name, value in server["arguments"].items():
        free[name.removeprefix("no-") in LISTENER_ARGUMENTS].append((name, value))
    file = posixpath.join(paths["service_dir"], "models.ini")
    own = [("models-preset", file), ("models-max", server["max_loaded_models"])]
    arguments = command_line([*own, *listener, *free[True]])
    sections = {"*": [*shared, *free[False]]}
    for model in models:
        aliases = [("alias", ",".join(model["aliases"]) or None)]
        sections[model["name"]] = [*_model_options(model), *aliases, *model["arguments"].items()]
    options = [word for section in sections.values() for word in command_line(section)]
    only_there = {"*": [("stop-timeout", MODEL_STOP_SECONDS)], default["name"]: [("load-on-startup", True)]}
    return {
        "arguments": arguments,
        "options": [*arguments, *options],
        # A router does not hand the keys of a file on, and the models would answer anyone on this machine.
        "key_files": {"LLAMA_API_KEY": key_file} if key_file else {},
        "presets": {
            "file": file,
            "sections": {
                name: _lines(name, [*section, *only_there.get(name, ())]) for name, section in sections.items()
            },
        },
    }


def _lines(name, options):
    try:
        return models_ini.lines(options)
    except models_ini.Unsayable as error:
        where = "server.arguments" if name == "*" else f"models.{name}"
        raise LlamaCppError(
            f"{where}: {error}. Nothing was changed. Name it otherwise (a path also depends on "
            "llm_settings.models_dir), or configure this model alone."
        ) from None


def _model_options(model):
    """What makes the server one for ``model``, but for its free arguments."""
    try:
        beside = auxiliary_files.options(model)
    except ValueError as error:
        raise LlamaCppError(
            f'models.{model["name"]}.lora: llama-server takes no path with a colon together with a scale: "{error}". '
            "Nothing was changed. Choose another filename or models_dir, or scale 1."
        ) from None
    return [
        ("model", model["dest"]),
        ("ctx-size", model["context_size"]),
        ("embeddings", True if model["purpose"] == "embedding" else None),
        ("rerank", True if model["purpose"] == "rerank" else None),
        *beside,
    ]


def command_line(options):
    """llama-server arguments from (long name, value) pairs; True gives the option, False its --no- form."""
    arguments = []
    for name, value in options:
        if value is True:
            arguments.append(f"--{name}")
        elif value is False:
            arguments.append(f"--no-{name}")
        elif value is not None:
            arguments += [f"--{name}", str(value)]
    return arguments


def _url(settings, tls):
    host = settings["server_host"]
    if host in ("0.0.0.0", "::"):  # all addresses: clients on this host use the loopback one
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return "%s://%s:%d" % ("https" if tls else "http", f"[{host}]" if ":" in host else host, settings["server_port"])
