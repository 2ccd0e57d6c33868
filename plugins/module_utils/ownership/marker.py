# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is already on a host that the play has to know about before it begins."""

from __future__ import annotations

import os

from ..base import commands
from ..base.files import open_file

#: Stands in the first lines of every file that the collection renders.
MANAGED_BY = "Managed by macos_setup.llm"

HEAD_BYTES = 1024


def is_ours(path):
    """Whether a file carries the collection's mark in its head."""
    try:
        with open_file(path) as stream:
            return bears_mark(stream.read(HEAD_BYTES))
    except OSError:
        return False


def bears_mark(content):
    """Whether the head of ``content`` carries the collection's mark."""
    return MANAGED_BY.encode() in content[:HEAD_BYTES]


def foreign_command(name, bin_dir):
    """The path of a command ``name`` that is not ours and that ours in ``bin_dir`` would overwrite or hide, or None.

    A command elsewhere matters only when ``bin_dir`` is searched for commands too.
    """
    searched = commands.search_path().split(os.pathsep)
    directories = [bin_dir] + (searched if bin_dir in searched else [])
    for directory in directories:
        path = os.path.join(directory, name)
        if os.path.lexists(path) and not is_ours(path):
            return path
    return None
