# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether the disks of a host have room for everything that is still to be downloaded."""

from __future__ import annotations

import os
import shutil

from ..base.units import GIB
from ..models.shards import shards_of
from ..models.verification import PART_SUFFIX, VerificationRecord
from ..net.disk_space import size_of


def shortages(files):
    """A sentence for every disk that is too small for what is to be downloaded onto it.

    :param files: those of the plan; one that is on the host already is not downloaded.
    """
    disks = {}
    for file in files:
        if (file.get("source") or {}).get("path"):
            continue
        directory = _existing(os.path.dirname(file["dest"]))
        shards = disks.setdefault(os.stat(directory).st_dev, (directory, []))[1]
        shards += [(file["name"], _missing(shard)) for shard in shards_of(file)]
    for directory, shards in disks.values():
        needed = sum(missing or 0 for _name, missing in shards)
        free = shutil.disk_usage(directory).free
        if needed > free:
            unknown = _named(name for name, missing in shards if missing is None)
            yield (
                "%s: %.1f GiB are to be downloaded to %s, where %.1f GiB are free. %sNothing was downloaded. "
                "Make room, or set llm_settings.models_dir to a directory on a larger disk, and run the play again."
                % (
                    _named(name for name, missing in shards if missing),
                    needed / GIB,
                    directory,
                    free / GIB,
                    "Not counted, since its size is not known yet: %s. " % unknown if unknown else "",
                )
            )


def _missing(shard):
    """The bytes of a file that are still to be downloaded; None when its size is not known."""
    path, size = shard.path, shard.bytes
    right_size = os.path.exists(path) and size in (None, os.path.getsize(path))
    if right_size and (not shard.sha256 or VerificationRecord(path)["sha256"] in (None, shard.sha256)):
        return 0
    return max(0, size - size_of(path + PART_SUFFIX)) if size else None


def _named(names):
    return ", ".join(dict.fromkeys("models." + name for name in names))


def _existing(directory):
    """The nearest directory above that exists: where it will be made, its disk is the one that counts."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
