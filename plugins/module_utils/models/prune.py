# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The models in a directory that nobody wants any more, told by their stamps."""

from __future__ import annotations

import os

from ..base.files import read_json, why_not_own
from .install import ModelFile
from .verification import DIRECTORY, Stamp

NOTE_SUFFIX = ".part.json"


def prune(directory, keep, check_only=False):
    """Remove what this collection put into ``directory`` and whose path is not in ``keep``; the results by path.

    That is every file, link and unfinished download with a stamp or note of ours. What the owner put there, or
    changed since, stays.
    """
    kept = {os.path.normpath(path) for path in keep}
    results = {}
    for path in sorted(_known(directory) - kept):
        if os.path.lexists(path) and not Stamp(path).is_ours():
            continue
        results[path] = ModelFile(os.path.basename(path), path, check_only=check_only).absent()
    return {path: result for path, result in results.items() if result["changed"]}


def _known(directory):
    """The paths that a stamp or the note of an unfinished download speaks of."""
    stamps = (name[: -len(".json")] for name in _names(os.path.join(directory, DIRECTORY)) if name.endswith(".json"))
    notes = (name for name in _names(directory) if name.endswith(NOTE_SUFFIX))
    begun = (name[: -len(NOTE_SUFFIX)] for name in notes if _is_note(os.path.join(directory, name)))
    return {os.path.join(os.path.normpath(directory), name) for name in (*stamps, *begun)}


def _is_note(path):
    note = None if why_not_own(path) else read_json(path)
    return isinstance(note, dict) and {"url", "validator", "size", "sha256"} <= set(note)


def _names(directory):
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
