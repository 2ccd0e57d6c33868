# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether the disks of a host have room for everything that is still to be downloaded."""

from __future__ import annotations

import os
import shutil

from ..base.units import GIB
from ..models.verification import Stamp
from ..net.disk_space import size_of


def shortages(downloads):
    """A sentence for every disk that is too small for what is to be downloaded onto it.

    :param downloads: dicts with ``names`` (of all that need the file, as they are configured), ``path``, and ``bytes``
        and ``sha256``, which are None where nobody knows them.
    """
    disks = {}
    for file in downloads:
        directory = _existing(os.path.dirname(file["path"]))
        disks.setdefault(os.stat(directory).st_dev, (directory, []))[1].append((file, _missing(file)))
    for directory, files in disks.values():
        needed = sum(missing or 0 for _file, missing in files)
        free = shutil.disk_usage(directory).free
        if needed > free:
            unknown = _named(file for file, missing in files if missing is None)
            yield (
                "%s: %.1f GiB are to be downloaded to %s, where %.1f GiB are free. %sNothing was downloaded. "
                "Make room, or set llm_settings.models_dir to a directory on a larger disk, and run the play again."
                % (
                    _named(file for file, missing in files if missing),
                    needed / GIB,
                    directory,
                    free / GIB,
                    "Not counted, since its size is not known yet: %s. " % unknown if unknown else "",
                )
            )


def _missing(file):
    """The bytes of a file that are still to be fetched; None when nobody knows its size."""
    path, size, sha256 = file["path"], file.get("bytes"), file.get("sha256")
    if os.path.exists(path) and os.path.getsize(path) == (size or os.path.getsize(path)):
        stamped = Stamp(path)["sha256"]
        if not sha256 or stamped in (None, sha256):
            return 0
    return max(0, size - size_of(path + ".part")) if size else None


def _named(files):
    return ", ".join(dict.fromkeys("models." + name for file in files for name in file["names"]))


def _existing(directory):
    """The nearest directory above that exists: where it will be made, its disk is the one that counts."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory
