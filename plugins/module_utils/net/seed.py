# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host is told of another one of the play, the seed, from which it can fetch (fleet/seed_process.py)."""

from __future__ import annotations

from typing import NamedTuple

#: The option ``seed`` of a module that fetches; what Seed is made of.
OPTION = {
    "type": "dict",
    "options": {
        "url": {"type": "str", "required": True},
        "token": {"type": "str", "required": True, "no_log": True},
        "files": {"type": "list", "elements": "dict", "required": True},
    },
}


class Seed(NamedTuple):
    """Another host that offers what it has.

    ``url``    base address; a file lies there under its SHA-256
    ``token``  what has to be shown; it travels as the query, which is never printed
    ``files``  of each its ``sha256``, and what it is: ``origin`` of a model, ``name`` of a program
    """

    url: str
    token: str
    files: tuple

    def url_of(self, sha256):
        return "%s%s?%s" % (self.url, sha256, self.token)
