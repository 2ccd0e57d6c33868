# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Web addresses that may be printed and stored, and apart from them what may not.

A signed address lets in everyone who holds it, by its query. So an address travels without its query, and the queries
travel beside it, in an option that Ansible never shows.
"""

from __future__ import annotations

import re
import urllib.parse

_WEB = re.compile("https?://", re.IGNORECASE)
_USER = re.compile(r'(\w://)[^/\s"<>]*@')  # to the last one: a password may hold that
_QUERY = re.compile(r"""(\bhttps?://[^?\s"'<>]*)\?[^\s"'<>]*""", re.IGNORECASE)


#: Under which names addresses stand, in the configuration and among the options of modules.
KEYS = ("url", "mirrors")

#: The option ``queries`` of a module that fetches.
OPTION = {"type": "dict", "default": {}, "no_log": True}


def shown(url):
    """The address without its query and user part: fit to be printed and stored."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def apart(url):
    """The address without its query, and the query with its ``?``, which is empty where there is none."""
    address, mark, query = url.partition("#")[0].partition("?")
    return address, mark + query


def joined(url, queries):
    """The address as it is asked, where ``queries`` has, by address, what :func:`apart` took off."""
    return url + queries.get(url, "")


def withheld(config):
    """A copy of ``config``, JSON-compatible, without the queries in its ``url`` and ``mirrors`` at any depth, and the
    queries by address."""
    queries = {}

    def plain(url):
        address, query = apart(url)
        if len(query) > 1:
            queries[address] = query
        return address

    def copy(value, key=None):
        if isinstance(value, dict):
            return {key: copy(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [copy(item, key) for item in value]
        return plain(value) if key in KEYS and isinstance(value, str) and _WEB.match(value) else value

    return copy(config), queries


def redacted(text):
    """``text``, perhaps what a program printed, without user part and query in any address within it."""
    return _QUERY.sub(r"\1", _USER.sub(r"\1", text))
