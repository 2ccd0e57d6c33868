# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host that is a seed (seed_process.py) lets the other hosts of a play fetch."""

from __future__ import annotations

from typing import NamedTuple

from ..base.files import IDENTITY, identity, sha256_of
from ..engine.store import program_of, stamp_of
from ..models.shards import shard_names
from ..models.verification import VerificationRecord


class Offered(NamedTuple):
    """A file that this host lets others fetch."""

    sha256: str
    served: dict  # what seed_server wants to know of it
    told: dict  # what Seed.files tells besides its sha256


def verified_models(paths):
    """An Offered for each file of the models ``paths`` that was verified and is unchanged."""
    files = [path for first in paths for path in shard_names(first)]
    records = [(path, VerificationRecord(path)) for path in files]
    return [
        Offered(
            record["sha256"],
            {"path": path, **{fact: record[fact] for fact in IDENTITY}},
            {"origin": record["origin"]},
        )
        for path, record in records
        if record.valid_sha256
    ]


def programs(engine_dir, release):
    """An Offered for each program of the release of this name; none when it is not there as it was installed."""
    stamp = stamp_of(engine_dir, release)
    try:
        offered = [_program(name, program_of(engine_dir, release, name)) for name in stamp.get("programs", [])]
    except OSError:
        return []
    installed = stamp.get("sha256", {})
    return offered if all(installed.get(one.told["name"], one.sha256) == one.sha256 for one in offered) else []


def _program(name, path):
    return Offered(sha256_of(path), {"path": path, **identity(path)}, {"name": name})
