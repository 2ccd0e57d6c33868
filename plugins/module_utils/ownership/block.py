# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Items of ours in a YAML list that belongs to another program, between two comments that mark them.

The rest of the file stays to the letter. So nothing parses and writes it: it is read only as far as it takes to know
that items at the end are items of the list. What looks otherwise is left alone.
"""

from __future__ import annotations

import os
import re
import stat

from ..base.errors import LlamaCppError
from ..base.files import read_file, why_not_own
from .marker import MANAGED_BY

BEGIN, END = f"# BEGIN {MANAGED_BY}: do not change", f"# END {MANAGED_BY}"
OURS = re.compile(rf"^{re.escape(BEGIN)}\n(.*?)^{re.escape(END)}\n?", re.MULTILINE | re.DOTALL)

#: The lines of a list in YAML's block style: its items start in the first column, the rest of them is indented.
ITEM, OF_ITEM, ASIDE = re.compile(r"-(\s|$)"), re.compile(" +[^\t ]"), re.compile(r"\s*(#.*)?$")

MODE = 0o644


class Block:
    """The block in the file ``path``, which may be a link to one.

    :param items: the items it is to have, as lines of YAML; empty for no block.
    :param key: a key whose value tells the items of the whole list apart.
    :raises LlamaCppError: the file cannot have it, with words that follow its path.
    """

    def __init__(self, path, items, key="model_id"):
        self.path = os.path.realpath(path)
        self._items, self._key = items, key
        self._text, self.mode = self._read()
        ours = OURS.findall(self._text)
        marks = sum(self._text.count(mark) for mark in (BEGIN, END))
        if marks != 2 * len(ours) or len(ours) > 1:
            raise LlamaCppError(f"has not both of the lines that mark a block ({BEGIN}), or more than one block")
        self._ours = ours[0] if ours else None
        if items:
            self._require_room()

    def _read(self):
        why = why_not_own(self.path)
        if why:
            raise LlamaCppError(why)
        try:
            content = read_file(self.path)
            return content.decode("utf-8"), stat.S_IMODE(os.stat(self.path).st_mode)
        except FileNotFoundError:
            return "", MODE
        except OSError as error:
            raise LlamaCppError(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise LlamaCppError("is not UTF-8 text") from None

    def _require_room(self):
        others = OURS.sub("", self._text)
        lines = [line for line in others.splitlines() if not ASIDE.match(line)]
        if lines[:1] == ["---"]:
            del lines[0]
        if not all(ITEM.match(line) or OF_ITEM.match(line) for line in lines) or (lines and not ITEM.match(lines[0])):
            raise LlamaCppError('is not a list whose items start with "-" in the first column')
        taken = self._names(others) & self._names(self._items)
        if taken:
            raise LlamaCppError(f"has a {self._key} {min(taken)} already")

    def _names(self, text):
        found = re.findall(rf"\b{self._key}[\"']?\s*:\s*[\"']?([^\"',}}\n]+)", text)
        return {value.partition(" #")[0].strip() for value in found}

    @property
    def is_in_place(self):
        return self._ours == (self._items or None)

    @property
    def text(self):
        """The whole file as it is to be; None for no file, which is better than an empty one: that is no list."""
        if not self._items:
            text = OURS.sub("", self._text)
            return text if text.strip() else None
        block = f"{BEGIN}\n{self._items}{END}\n"
        if self._ours is not None:
            return OURS.sub(lambda _found: block, self._text)
        return self._text + ("" if self._text.endswith("\n") or not self._text else "\n") + block
