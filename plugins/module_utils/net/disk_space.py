# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether what is still to be downloaded finds room on the disk, all of it together.

What is there already, whole or in part (``<path>.part``, see net/download.py), needs no more room.
"""

from __future__ import annotations

import os
import shutil
import threading

from ..base.errors import LlamaCppError
from ..base.units import MIB


class DiskReservation:
    """The room on one disk that downloads into the same directory reserve together."""

    def __init__(self):
        self._lock = threading.Lock()
        self._sizes = {}

    def reserve(self, part, size):
        """Raise LlamaCppError unless all that is missing of ``part``, to be ``size`` bytes, and of every part that was
        reserved before has room."""
        with self._lock:
            self._sizes[part] = size
            missing = sum(max(0, size - size_of(part)) for part, size in self._sizes.items())
            kept, count = sum(map(size_of, self._sizes)), len(self._sizes)
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


def size_of(path):
    return os.path.getsize(path) if os.path.exists(path) else 0
