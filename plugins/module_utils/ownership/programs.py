# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The commands and what goes with them, in directories where other programs are too: all of it gives way to others."""

from __future__ import annotations

import os
import stat

from ..base.files import open_file
from ..base.privileges import is_root
from .manifest import parents_of
from .marker import is_ours

#: Stands in the console script of simonw/llm, whose command is named llm too.
SIMONW = b"from llm.cli import cli"
HEAD_BYTES = 4096


def others(name, directories):
    """The paths of programs ``name`` in ``directories`` that are not ours, in their order; a dangling link is one."""
    paths = (os.path.join(directory, name) for directory in dict.fromkeys(directories))
    return [path for path in paths if os.path.lexists(path) and not is_ours(path)]


def foreign(name, bin_dir, directories):
    """The path of a program of others that ours in ``bin_dir`` would overwrite or hide, or None.

    One elsewhere matters only when ``bin_dir`` is among the ``directories`` that are searched, and not where ours has
    its name already: the user may have come to rely on it.
    """
    own = os.path.join(bin_dir, name)
    if os.path.lexists(own):
        return None if is_ours(own) else own
    return next(iter(others(name, directories)), None) if bin_dir in directories else None


def is_simonw(path):
    """Whether ``path`` is the command of simonw/llm."""
    try:
        with open_file(path) as stream:
            return SIMONW in stream.read(HEAD_BYTES)
    except OSError:
        return False


def why_left_out(path):
    """Why a file that goes with a command is not to be put at ``path``, in words that follow it; None: it may be."""
    if os.path.lexists(path):
        return None if is_ours(path) else "is not part of this collection and is left alone"
    above = next((parent for parent in parents_of(path) if os.path.lexists(parent)), os.sep)
    try:
        found = os.stat(above)
    except OSError:  # a link to nowhere
        return f"is not installed: {above} leads nowhere"
    if not stat.S_ISDIR(found.st_mode):
        return f"is not installed: {above} is no directory"
    if not os.access(above, os.W_OK | os.X_OK) or (is_root() and found.st_uid != 0):
        return f"is not installed: this user may not write to {above}"
    return None
