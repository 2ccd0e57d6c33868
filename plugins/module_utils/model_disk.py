# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether the models that are still to be downloaded find room on the disk, all of them together."""

from __future__ import annotations

import os
import shutil

from .mac_hardware import GIB


def shortages(models):
    """A sentence for every disk that is too small for what is to be downloaded onto it.

    :param models: dicts with ``name``, ``path``, ``bytes`` (None: not known) and ``download``. What is there already,
        whole or in part (``<path>.part``, see download.py), needs no more room.
    """
    disks = {}
    for model in models:
        if model.get("download") and model.get("bytes") and not os.path.exists(model["path"]):
            directory = _existing(os.path.dirname(model["path"]))
            disks.setdefault(os.stat(directory).st_dev, (directory, []))[1].append(model)
    for directory, missing in disks.values():
        needed = sum(max(0, model["bytes"] - _size(model["path"] + ".part")) for model in missing)
        free = shutil.disk_usage(directory).free
        if needed > free:
            yield (
                "%s: %.1f GiB are to be downloaded to %s, where %.1f GiB are free. Nothing was downloaded. Make room, "
                "or set llm_settings.models_dir to a directory on a larger disk, and run the play again."
                % (", ".join("models." + model["name"] for model in missing), needed / GIB, directory, free / GIB)
            )


def _existing(directory):
    """The nearest directory above that exists: where it will be made, its disk is the one that counts."""
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def _size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0
