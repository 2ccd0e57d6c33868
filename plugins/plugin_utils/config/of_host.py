# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The configuration of one host: the file with the variables of the host laid over it, checked and filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.macos_setup.llm.plugins.module_utils.base import strict_json
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, rules


class OfHost(NamedTuple):
    """``config``, the ``catalog`` of models, and what the lock file ``lock_file`` records of models and of tags; None
    for both while it is being updated.
    """

    config: dict
    catalog: dict
    lock_file: str
    locked: Any
    tags: Any


def of_host(variables):
    """The :class:`OfHost` for ``variables``, those of the role by their names without the prefix.

    :raises ConfigurationError: with everything that is wrong.
    """
    source, overrides = variables["config_file"], variables["overrides"]
    config, lock_file = load.read(source), lock.path_for(source)
    if overrides and isinstance(config, dict):
        config = load.merge(config, overrides)
        source += " with the llama_cpp_* variables of this host"
    catalog = shipped("model_catalog.json")["models"]
    locked = tags = None
    if not variables["update_lock"]:
        locked, tags = lock.read(lock_file), lock.read_tags(lock_file)
    return OfHost(rules.checked(config, load.load_schema(), catalog, source, locked), catalog, lock_file, locked, tags)


def shipped(name):
    """The content of the JSON file ``name`` of the collection."""
    return strict_json.parse(Path(load.CONFIG_DIRECTORY, name).read_bytes())
