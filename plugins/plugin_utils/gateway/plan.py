# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""From the variables of a gateway and the servers behind it to its plan, and from that to HAProxy's configuration."""

from __future__ import annotations

import hashlib

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import FINGERPRINT
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.api_keys import check_api_key
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import CONVERSATION_HEADER
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import answers, clients, servers
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import render

#: Paths of llama-server (llama.cpp 0c1e570) outside /v1/ that compute something for a client, and those that only tell
#: something of a model. The others manage the server, or show what other clients do: /slots, /metrics, /models/load.
NATIVE_PATHS = (
    *("/completion", "/completions", "/chat/completions", "/responses", "/infill", "/embedding", "/embeddings"),
    *("/rerank", "/reranking", "/tokenize", "/detokenize", "/apply-template"),
)
READABLE_PATHS = ("/props",)

#: The beginning of those below /v1/ that find the answers of other clients by the id of a conversation.
SHARED_PATHS = "/v1/stream"

#: Where an answer that comes whole has its tokens: the first for OpenAI's chat and completions, the second for its
#: responses and for Anthropic's messages.
TOKEN_PATHS = {
    "prompt_tokens": ("$.usage.prompt_tokens", "$.usage.input_tokens"),
    "completion_tokens": ("$.usage.completion_tokens", "$.usage.output_tokens"),
}

#: Where Anthropic's messages have the tokens of a prompt that were cached, which its ``input_tokens`` lack.
CACHED_PATH = "$.usage.cache_read_input_tokens"

#: What llama-server takes for ``localhost`` among the origins that may call it.
LOCALHOST_ORIGIN = r"^https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?$"

#: A line of the access log: field -> HAProxy's expression for it, the first group as JSON text.
LOG_TEXTS = {
    "client": "%[var(txn.client),json(utf8s)]",
    "model": answers.ASKED,
    "host": "%s",
    "retries": "%rc",
    "method": "%HM",
    "path": "%[var(txn.path),bytes(0,200),json(utf8s)]",
    "ended": "%tsc",
}
LOG_NUMBERS = {
    "time": "%Ts.%ms",
    "status": "%ST",
    "queue_ms": "%Tw",
    "connect_ms": "%Tc",
    "first_byte_ms": "%Tr",
    "total_ms": "%Ta",
    "bytes": "%B",
    "prompt_tokens": "%[var(txn.prompt_tokens)]",
    "completion_tokens": "%[var(txn.completion_tokens)]",
}

#: The longest name of a model has 128 characters (config/llm_config.schema.json): one more is enough to tell.
NAME_BYTES = 129

#: What a request has besides its body: its head, and what HAProxy keeps of it.
HEAD_BYTES = 64 * 1024

#: How long a host stays that of a conversation from which nothing is heard.
STICKY_SECONDS = 3600
CONNECT_SECONDS = 2


def plan(variables, hosts, place):
    """The plan of a gateway.

    :param variables: those of the role, by name without the prefix.
    :param hosts: what servers.server() says of each host.
    :param place: where the gateway lies on its host, see places.py.
    :raises LlamaCppError: with what is wrong in the variables.
    """
    limits = {"requests_per_minute": variables["requests_per_minute"], "parallel": variables["parallel"]}
    models = servers.models(hosts)
    sends_key = any(host["needs_key"] for host in hosts)
    require(variables, hosts, sends_key)
    return {
        **place,
        "bind": {
            "api": _bind(variables["address"], variables["port"]),
            "statistics": _bind(variables["statistics_address"], variables["statistics_port"]),
        },
        "certificate": variables["certificate"],
        "servers_ca": variables["servers_ca"],
        "servers": hosts,
        "models": models,
        "clients": clients.clients(variables["clients"], limits),
        "sends_key": sends_key,
        "errors": answers.errors(variables["max_request_bytes"], models),
        "errors_by_status": answers.BY_STATUS,
        "model_list": answers.model_list(models),
        "conversation_header": CONVERSATION_HEADER,
        "native_paths": NATIVE_PATHS,
        "readable_paths": READABLE_PATHS,
        "shared_paths": SHARED_PATHS,
        "token_paths": TOKEN_PATHS,
        "cached_path": CACHED_PATH,
        "origins": servers.origins(hosts),
        "localhost_origin": LOCALHOST_ORIGIN,
        "log_format": log_format(),
        "rotation": {
            **{key: place["paths"][key] for key in ("admin_socket", "master_socket")},
            **{key: variables[key] for key in ("keep_up", "drain_timeout", "drain_overdue", "check_interval")},
        },
        "limits": {
            "connections": variables["max_connections"],
            "request_bytes": variables["max_request_bytes"],
            "buffer_bytes": variables["max_request_bytes"] + HEAD_BYTES,
            "name_bytes": NAME_BYTES,
            "connect_seconds": CONNECT_SECONDS,
            "retries": max(3, len(hosts)),
            "request_seconds": variables["request_timeout"],
            "queue_seconds": variables["queue_timeout"],
            "answer_seconds": variables["answer_timeout"],
            "check_seconds": variables["check_interval"],
            "sticky_seconds": STICKY_SECONDS,
            "queue": variables["queue"],
        },
    }


def require(variables, hosts, sends_key):
    """Raise LlamaCppError when the gateway lacks what it needs to be let in by the ``hosts``."""
    key, wrong = variables["hosts_api_key"], []
    if sends_key and not key:
        wrong.append("  llama_cpp_gateway_hosts_api_key: is empty. Set it to the API key of all hosts, from a vault.")
    if key:
        try:
            check_api_key(key, "  llama_cpp_gateway_hosts_api_key:")
        except LlamaCppError as error:
            wrong.append(str(error))
    encrypted = [host["name"] for host in hosts if host["tls"]]
    if encrypted and not variables["servers_ca"]:
        wrong.append(
            f"  llama_cpp_gateway_servers_ca: is empty, and {', '.join(encrypted)} serve HTTPS. Set it to a PEM file "
            "on the gateway with which their certificates are verified."
        )
    if wrong:
        raise LlamaCppError("\n".join(wrong))


def configuration(plan, hosts_key):
    """(HAProxy's configuration as text, its fingerprint, which is in it and depends on what is read with it too)."""
    facts = [render("haproxy.cfg.j2", plan=plan, name=FINGERPRINT, fingerprint=""), key_map(plan, hosts_key), lua()]
    fingerprint = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    return render("haproxy.cfg.j2", plan=plan, name=FINGERPRINT, fingerprint=fingerprint), fingerprint


def key_map(plan, hosts_key):
    """The file from which HAProxy takes what it puts into the header Authorization of each request to a host."""
    return f"hosts Bearer {hosts_key}\n" if plan["sends_key"] else ""


def lua():
    """The program that HAProxy runs over the answers that stream by."""
    return render("llama-cpp-gateway.lua.j2")


def log_format():
    """A line of the access log as HAProxy's log format."""
    fields = [f'"{name}":{value}' for name, value in LOG_NUMBERS.items()]
    fields += [f'"{name}":"{value}"' for name, value in LOG_TEXTS.items()]
    return "{" + ",".join(fields) + "}"


def _bind(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
