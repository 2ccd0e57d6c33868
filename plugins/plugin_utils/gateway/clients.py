# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Who may use a gateway, and how much: the entries of ``llama_cpp_gateway_clients``.

A plan holds the SHA-256 of a client's key and never the key itself: what the gateway compares needs no more. The keys
are random, so a hash without salt gives nothing away.
"""

from __future__ import annotations

import hashlib
import re

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import did_you_mean
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.api_keys import check_api_key

VARIABLE = "llama_cpp_gateway_clients"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
KEYS = ("name", "key", "key_sha256", "batch", "requests_per_minute", "parallel")

#: A key that could be guessed would be found from its hash.
SHORTEST_KEY = 20

MOST = 1_000_000


def clients(entries, defaults):
    """The clients of a gateway: ``name``, ``key_sha256`` in capital letters, ``batch``, ``requests_per_minute`` and
    ``parallel``.

    :param defaults: the last two for entries that do not have them.
    :raises LlamaCppError: with everything that is wrong; a key is never repeated.
    """
    found, wrong = [], []
    for index, entry in enumerate(entries):
        problems = list(_problems(entry))
        wrong += [f"  {VARIABLE}[{index}]{problem}" for problem in problems]
        if not problems:
            found.append({**defaults, **_client(entry)})
    for what in ("name", "key_sha256"):
        values = [client[what] for client in found]
        for index, client in enumerate(found):
            if client[what] in values[:index]:
                wrong.append(f"  {VARIABLE}: {client['name']} has the {what} of a client above it; each needs its own.")
    if not entries:
        wrong.append(f"  {VARIABLE}: is empty, so that nobody could use the gateway. Name at least one client.")
    if wrong:
        raise LlamaCppError("\n".join(wrong))
    return found


def _problems(entry):
    if not isinstance(entry, dict):
        yield f": expected: an object with name and key, for example {{name: anna, key: …}}. Allowed: {', '.join(KEYS)}"
        return
    for key in entry:
        if key not in KEYS:
            yield f".{key}: unknown key{did_you_mean(str(key), KEYS)}. Allowed: {', '.join(KEYS)}"
    if not isinstance(entry.get("name"), str) or not NAME.fullmatch(entry["name"]):
        yield ".name: expected: up to 64 letters, digits, dots, dashes and underscores, first a letter or digit"
    if ("key" in entry) == ("key_sha256" in entry):
        yield ": give one of key and key_sha256, the SHA-256 of the key in hexadecimal digits"
    elif "key" in entry:
        yield from _key_problems(entry["key"])
    elif not isinstance(entry["key_sha256"], str) or not SHA256.fullmatch(entry["key_sha256"]):
        yield ".key_sha256: expected: 64 hexadecimal digits"
    if not isinstance(entry.get("batch", False), bool):
        yield ".batch: expected: true or false"
    for key in ("requests_per_minute", "parallel"):
        if key in entry and not _is_count(entry[key]):
            yield f".{key}: expected: a whole number from 1 to {MOST}"


def _is_count(value):
    # Ansible has subclasses of int.
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST


def _key_problems(key):
    if not isinstance(key, str) or len(key) < SHORTEST_KEY:
        yield f".key: expected: text of at least {SHORTEST_KEY} characters, at random"
        return
    try:
        check_api_key(key, ".key:")
    except LlamaCppError as error:
        yield str(error)


def _client(entry):
    digest = entry.get("key_sha256") or hashlib.sha256(entry["key"].encode()).hexdigest()
    rest = {key: entry[key] for key in ("requests_per_minute", "parallel") if key in entry}
    return {"name": entry["name"], "key_sha256": digest.upper(), "batch": entry.get("batch", False), **rest}
