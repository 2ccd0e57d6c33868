# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The mark by which the collection knows the files that it renders."""

from __future__ import annotations

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
