# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether what is still to be downloaded finds room on the disk, all of it together.

What is there already, whole or in part (``<path>.part``, see download.py), needs no more room.
"""

from __future__ import annotations

import os
import shutil
import threading

from .errors import LlamaCppError
from .mac_hardware import GIB, MIB
from .stamps import Stamp


class DiskRoom:
    """The room on one disk that downloads into the same directory share."""

    def __init__(self):
        self._lock = threading.Lock()
        self._sizes = {}

    def claim(self, part, size):
        """Raise LlamaCppError unless all that is missing of ``part``, to be ``size`` bytes, and of every part that was
        claimed before has room."""
        with self._lock:
            self._sizes[part] = size
            missing = sum(max(0, size - _size(part)) for part, size in self._sizes.items())
            kept, count = sum(map(_size, self._sizes)), len(self._sizes)
            free = shutil.disk_usage(os.path.dirname(part)).free
        if missing > free:
            raise LlamaCppError(
                "%.1f MiB more are needed in %s%s, but only %.1f MiB are free. %d bytes are there already and kept. "
                "Make room, then run the play again."
                % (
                    missing / MIB,
                    os.path.dirname(part),
                    " for %d files" % count if count > 1 else "",
                    free / MIB,
                    kept,
                )
            )


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
    return max(0, size - _size(path + ".part")) if size else None


def _named(files):
    return ", ".join(dict.fromkeys("models." + name for file in files for name in file["names"]))


def _existing(directory):
    """The nearest directory above that exists: where it will be made, its disk is the one that counts."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def _size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0
