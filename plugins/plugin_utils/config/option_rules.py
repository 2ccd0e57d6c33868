# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The rules for llama-server's own options: which of them belong to the collection, and which need an API key."""

from __future__ import annotations

import re

from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.load import Problem

#: llama-server options that the collection sets itself, and the configuration key for each. llama-server uses the last
#: of two equal options, so one of these in ``arguments`` would silently override the rest of the configuration.
OWNED_ARGUMENTS = {
    "model": "models",
    "model-url": "models",
    "hf-repo": "models",
    "hf-file": "models",
    "hf-token": None,  # a secret that every user of the host could read among the arguments
    "docker-repo": "models",
    "alias": "models",
    "ctx-size": "models.<name>.context_size",
    "host": "llm_settings.server_host",
    "port": "llm_settings.server_port",
    "api-key": "server.api_key",
    "api-key-file": "server.api_key",
    "api-prefix": None,
    "ssl-key-file": "server.tls",
    "ssl-cert-file": "server.tls",
    "cors-origins": "server.cors_origins",
    "parallel": "server.parallel",
    "metrics": "server.metrics",
    "sleep-idle-seconds": "server.idle_unload_seconds",
    "rpc": "server.rpc_workers",
    "sse-ping-interval": None,
    "ui": "engine.web_ui",
    "webui": "engine.web_ui",
    "offline": None,
    "log-file": None,
    "log-disable": None,
    "models-dir": "models",
    "models-preset": "models",
    "models-max": "server.max_loaded_models",
    "embedding": "models.<name>.purpose",
    "embeddings": "models.<name>.purpose",
    "rerank": "models.<name>.purpose",
    "reranking": "models.<name>.purpose",
    "mmproj": "models.<name>.mmproj",
    "mmproj-url": "models.<name>.mmproj",
    "spec-draft-model": "models.<name>.draft_model",
    "model-draft": "models.<name>.draft_model",
    "spec-draft-hf": "models.<name>.draft_model",
    "hf-repo-draft": "models.<name>.draft_model",
    "lora": "models.<name>.lora",
    "lora-scaled": "models.<name>.lora",
    # Each names a model to be downloaded, and another port.
    **dict.fromkeys(("embd-gemma-default", "vision-gemma-4b-default", "vision-gemma-12b-default"), "models"),
    **dict.fromkeys(("fim-qwen-3b-default", "fim-qwen-7b-default", "fim-qwen-30b-default"), "models"),
    **dict.fromkeys(("fim-qwen-7b-spec", "fim-qwen-14b-spec"), "models"),
    **dict.fromkeys(("gpt-oss-20b-default", "gpt-oss-120b-default"), "models"),
}

#: Values that llama-server parses as an option if the option before it takes no value.
LIKE_AN_OPTION = re.compile("--?[A-Za-z][A-Za-z0-9._-]*")

#: llama-server options that run programs, access files or reach other hosts on behalf of any client, with their
#: spellings in models.ini (common/arg.cpp of llama.cpp 0c1e570). A web page can use them with a simple POST.
REMOTE_HANDS = frozenset(
    (
        *("agent", "ag", "tools", "tools-runtime", "mcp-servers-config", "mcp-servers-json"),
        *("path", "media-path", "slot-save-path"),
        *("ui-mcp-proxy", "webui-mcp-proxy"),
    )
)


def problems(config, _catalog):
    """Every Problem with the free arguments of ``config``."""
    open_to_all = config["server"]["api_key"] == "none"
    for where, arguments in _free_arguments(config):
        for option, value in arguments.items():
            positive = option[3:] if option.startswith("no-") else option
            if positive in OWNED_ARGUMENTS:
                owner = OWNED_ARGUMENTS[positive]
                remedy = f"use {owner} instead" if owner else "remove it"
                yield Problem((*where, option), f"this option is set by the collection; {remedy}")
            elif open_to_all and positive in REMOTE_HANDS and value is not (option != positive):
                yield Problem(
                    (*where, option),
                    "without an API key every web page could use it through the browser; remove it, or set "
                    'server.api_key to "auto" or a key file',
                )
            elif isinstance(value, str) and LIKE_AN_OPTION.fullmatch(value):
                what = f'llama-server may treat "{value}" as another option'
                yield Problem((*where, option), f"{what}; expected: one key for each option")


def _free_arguments(config):
    """The free arguments, as pairs (where they stand, option -> value)."""
    yield ("server", "arguments"), config["server"]["arguments"]
    for name, model in config["models"].items():
        yield ("models", name, "arguments"), model["arguments"]
