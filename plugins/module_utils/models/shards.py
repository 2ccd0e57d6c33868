# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The names of a model that is split into several files (shards), which llama.cpp finds by their names.

``llama-gguf-split`` calls them ``NAME-00001-of-0000N.gguf``; llama-server is given the first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

SHARD_NAME = re.compile(r"-([0-9]{5})-of-([0-9]{5})(\.gguf)(?=$|\?)")


class Shard(NamedTuple):
    """One file on the disk: all of a model, or one of several shards."""

    path: str
    number: int  # from 0
    count: int
    bytes: int | None
    sha256: str | None


def shards_of(file):
    """The Shard of every file on the disk that ``file`` stands for: a dict with ``dest``, ``bytes``, ``sha256`` and
    ``shards``, as the plan and the module gguf_model have it."""
    paths = shard_names(file["dest"])
    known = file.get("shards") or ([file] if len(paths) == 1 else [{}] * len(paths))
    return [
        Shard(path, number, len(paths), facts.get("bytes"), facts.get("sha256"))
        for number, (path, facts) in enumerate(zip(paths, known))
    ]


def shard_number(name):
    """(number from 1, count) by the name of a file, or None when it is not one of several shards."""
    match = SHARD_NAME.search(name)
    number, count = (int(match.group(1)), int(match.group(2))) if match else (1, 1)
    return (number, count) if count > 1 else None


def shard_name(name, number):
    """The name, path or address of shard ``number`` (from 1), from that of any other shard."""
    return SHARD_NAME.sub(lambda match: "-%05d-of-%s%s" % (number, match.group(2), match.group(3)), name)


def shard_names(name):
    """The names of all shards, from that of the first; just ``name`` when there is one file."""
    found = shard_number(name)
    return [shard_name(name, number + 1) for number in range(found[1])] if found else [name]
