# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is not ours and stands where something of ours is to be: refused, all of it at once, before a change."""

from __future__ import annotations

import os
import stat

from ..base.errors import LlamaCppError
from ..base.files import why_not_own
from .marker import is_ours

#: Kinds (ownership/manifest.py) whose files bear the collection's mark.
MARKED = ("marked", "service")


def refuse(claims, is_noted, manifest):
    """Raise LlamaCppError if something that is not ours is in the place of one of ``claims``.

    :param claims: path -> kind, see ownership/manifest.py.
    :param is_noted: tells of a path whether the manifest notes it as ours.
    :param manifest: path of the manifest, for the message.
    """
    found = taken(claims, is_noted)
    if found:
        lines = "\n".join(f"  {path} {why}" for path, why in found.items())
        path = next(iter(found))
        raise LlamaCppError(
            f"Something that this collection did not put there stands in {len(found)} of its places. Nothing was "
            f"changed.\n{lines}\n{manifest} notes what is the collection's. Move each of these away (mv '{path}' "
            f"'{path}.mine'), or choose another directory (llm_settings.install_dir), then run the play again."
        )


def taken(claims, is_noted):
    """Path -> why it is not ours, in words that follow the path; sorted."""
    whys = {path: _why_taken(path, kind, is_noted) for path, kind in sorted(claims.items())}
    return {path: why for path, why in whys.items() if why}


def _why_taken(path, kind, is_noted):
    try:
        status = os.lstat(path)
    except OSError:  # nothing; or what is above it is in the way, and is claimed, too
        return None
    mode = status.st_mode
    if kind == "model":  # its verification record tells
        return None
    if kind == "block":  # in a file of others
        return "is a directory" if os.path.isdir(path) else None
    if kind == "directory":  # or a link to one: it may lie on another disk
        return None if os.path.isdir(path) else "is no directory"
    if kind == "tree":
        wrong = why_not_own(path) or (None if stat.S_ISDIR(mode) else "is no directory")
    elif kind == "link":
        wrong = None if stat.S_ISLNK(mode) else "is no link"
    elif stat.S_ISDIR(mode):
        wrong = "is a directory"
    elif kind == "log" and stat.S_ISLNK(mode):  # to another disk, if it is the owner's
        wrong = None if status.st_uid == os.geteuid() else "is a link of somebody else"
    else:
        wrong = "is a link" if stat.S_ISLNK(mode) else None
    if wrong or is_noted(path) or (kind in MARKED and is_ours(path)):
        return wrong
    return {"tree": "is a directory", "link": "is a link"}.get(kind, "is a file") + " that is not noted as ours"
