# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The lines of the input, each with the id by which its result is known again."""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from typing import NamedTuple

from ..core.base.strict_json import MOST_BYTES
from ..errors import UsageError
from .json_lines import parse

BLOCK_BYTES = 1024 * 1024
CUSTOM_ID = b'"custom_id"'
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Line(NamedTuple):
    """One line of the input, which is no more than read.

    ``content`` is None where it is too long to be held; ``repeats`` tells whether a line before has its ``custom_id``.
    """

    index: int
    id: str
    content: bytes | None
    repeats: bool


class Lines:
    """Iterates over the lines of ``stream``, a binary file; memory holds one at a time, and a number for each
    ``custom_id``.

    :param name: what people call the input.
    :param settings: bytes that stand for everything else that makes a result what it is; they go into the ids.
    :param names: whether a line may hold a ``custom_id``.
    """

    def __init__(self, stream, name, settings=b"", names=True):
        self._stream = stream
        self.name = name
        self._digest = hashlib.sha256(settings)
        self._custom_ids = set() if names else None
        self._index = -1
        self._returned = []

    def __iter__(self):
        return self

    def put_back(self, line):
        """Have ``line``, the last one that was taken, come again."""
        self._returned.append(line)

    def are_left(self):
        """Whether another line will come."""
        line = next(self, None)
        if line is not None:
            self.put_back(line)
        return line is not None

    def __next__(self):
        if self._returned:
            return self._returned.pop()
        content = self._stream.readline(MOST_BYTES + 1)
        if not content:
            raise StopIteration
        self._index += 1
        if self._index == 0:
            if content.startswith(UTF_16):
                raise UsageError(
                    f"{self.name} is UTF-16 text; UTF-8 is expected. To convert it: iconv -f UTF-16 -t UTF-8"
                )
            content = content.removeprefix(codecs.BOM_UTF8)
        digest = self._digest.copy()
        digest.update(b"%d:" % self._index)
        too_long = len(content) > MOST_BYTES
        while len(content) > MOST_BYTES and not content.endswith(b"\n"):
            digest.update(content)
            content = self._stream.readline(MOST_BYTES + 1) or b"\n"
        content = content.rstrip(b"\r\n")
        digest.update(content)
        repeats = not too_long and self._repeats(content)
        return Line(self._index, "batch_req_" + digest.hexdigest()[:24], None if too_long else content, repeats)

    def _repeats(self, content):
        """Whether a line before has the ``custom_id`` of ``content``; the Reader tells what is wrong with it."""
        if self._custom_ids is None or CUSTOM_ID not in content:
            return False
        try:
            custom_id = parse(content)["custom_id"]
        except (ValueError, LookupError, TypeError):
            return False
        if not isinstance(custom_id, (str, int)):
            return False
        before, known = len(self._custom_ids), hash(repr(custom_id))
        self._custom_ids.add(known)
        return len(self._custom_ids) == before


def count(path):
    """How many lines the file ``path`` has; None where it is no regular file, which can be read only once."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return None
    lines, last = 0, b"\n"
    with open(path, "rb", buffering=0) as stream:
        for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
            lines += block.count(b"\n")
            last = block
    return lines + (not last.endswith(b"\n"))
