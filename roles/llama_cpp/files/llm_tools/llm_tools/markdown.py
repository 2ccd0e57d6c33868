# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The little of Markdown that must be understood while an answer is still coming: where its blocks begin and end.

CommonMark 0.31, but as models write it: a fence or an item in a list may be indented as it likes, and a fence is only
closed by a fence.
"""

from __future__ import annotations

import collections
import enum
import re

TAB = 4
FENCE = re.compile(r"(?P<marker>`{3,}|~{3,})(?P<info>.*)")
ITEM = re.compile(r"(?P<marker>[-*+]|(?P<number>\d{1,9})[.)])(?P<gap>[ \t]+)(?P<text>[^ \t].*)")
HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
RULE = re.compile(r"([-*_])(?:[ \t]*\1){2,}$")

#: The beginnings of lines that may still become a fence; with a block above them, also something that ends that block.
MAYBE_FENCE = re.compile(r"(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?:`{1,2}|`{3,}[^`]*|~{1,2}|~{3,}.*)?")
MAYBE_START = re.compile(r"#{0,6}|[-*_ \t]*|[-*+][ \t]*|\d{0,9}[.)]?[ \t]*")


class Part(enum.Enum):
    """What a piece of an answer is."""

    BLOCK = "a paragraph, a heading, an item of a list, a table …"
    BLANK = "a blank line between blocks"
    OPENS = "the line that opens a fenced code block"
    CODE = "a line of a fenced code block, without the indentation of its fence"
    CLOSES = "the line that closes a fenced code block"
    INDENTED = "a line of an indented code block"


#: A list item's first line: columns before the marker and before the content, number, and the text of the content.
Item = collections.namedtuple("Item", "indent content number text")


class Blocks:
    """Cuts a Markdown text, while it comes, into parts that can be shown one after the other."""

    def __init__(self):
        self._line = ""  # the last line, while it is not complete
        self._block = ""  # the lines above it that belong to the block that is not complete
        self._fence = None  # the marker of the code block that is open
        self._fence_indent = 0
        self._items = []  # the columns at which the contents of the open list items begin, from the outermost

    def feed(self, text):
        """The parts that ``text`` completes: a list of (Part, source)."""
        parts = []
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._feed_line(line, "\n", parts)
        if self._block and not self._fence and self._starts_block(self._line):
            self._end_block(parts)
        return parts

    def finish(self):
        """The parts that remain when nothing more comes."""
        parts, line, self._line = [], self._line, ""
        if line:
            self._feed_line(line, "", parts)
        self._end_block(parts)
        return parts

    @property
    def unfinished(self):
        """The source of the block that is not complete, so far as what has come is certain to belong to it."""
        line = self._line
        if self._fence or not line.strip() or self._is_indented_code(line):
            return self._block
        may_be_another = MAYBE_FENCE.fullmatch(line.strip()) or (self._block and MAYBE_START.fullmatch(line.strip()))
        return self._block if may_be_another else self._block + line

    def _feed_line(self, line, end, parts):
        text, indent = line.lstrip(" \t"), indent_of(line)
        if self._fence:
            self._feed_code(line, end, parts)
        elif not text.strip():
            self._end_block(parts)
            parts.append((Part.BLANK, end))
        elif self._is_indented_code(line):
            parts.append((Part.INDENTED, line + end))
        elif self._opens_fence(text, indent):
            self._open_fence(text, indent, end, parts)
        elif RULE.match(text) or HEADING.match(text):
            self._end_block(parts)
            self._leave_items(indent)
            parts.append((Part.BLOCK, line + end))
        else:
            self._feed_text(line, end, parts)

    def _feed_code(self, line, end, parts):
        if closes_fence(self._fence, line):
            self._fence = None
            parts.append((Part.CLOSES, line.lstrip(" \t") + end))
        else:
            parts.append((Part.CODE, dedented(line, self._fence_indent) + end))

    def _feed_text(self, line, end, parts):
        item = self._item(line)
        if item:
            self._end_block(parts)
        if not self._block:
            self._leave_items(indent_of(line))
        if item:
            self._items.append(item.content)
            if self._opens_fence(item.text, item.content):
                parts.append((Part.BLOCK, line[: len(line) - len(item.text)].rstrip() + "\n"))
                self._open_fence(item.text, item.content, end, parts)
                return
        self._block += line + end

    def _end_block(self, parts):
        if self._block:
            parts.append((Part.BLOCK, self._block))
            self._block = ""

    def _leave_items(self, indent):
        while self._items and self._items[-1] > indent:
            self._items.pop()

    def _open_fence(self, text, indent, end, parts):
        self._end_block(parts)
        self._leave_items(indent)
        self._fence, self._fence_indent = FENCE.match(text)["marker"], indent
        parts.append((Part.OPENS, text + end))

    def _opens_fence(self, text, indent):
        found = FENCE.match(text)
        in_place = indent < TAB or self._items
        return found and in_place and not (found["marker"][0] == "`" and "`" in found["info"])

    def _starts_block(self, line):
        """Whether ``line``, of which more may come, begins another block than the one above it."""
        return HEADING.match(line.lstrip(" \t") + ".") or self._item(line)

    def _item(self, line):
        """The list item that ``line`` begins, if any; a number within a paragraph begins a list only if it is 1."""
        item = item_of(line)
        if not item or (item.indent >= TAB and not self._items):
            return None
        return item if not self._block or self._items or item.number in (None, "1") else None

    def _is_indented_code(self, line):
        inside = [column for column in self._items if column <= indent_of(line)]
        deep = indent_of(line) - (inside[-1] if inside else 0) >= TAB
        return deep and not self._block and not self._item(line) and not self._opens_fence(line.lstrip(" \t"), TAB)


def closes_fence(marker, line):
    """Whether ``line`` closes the fence that was opened by ``marker``."""
    found = FENCE.match(line.lstrip(" \t"))
    return bool(found) and found["marker"].startswith(marker) and not found["info"].strip()


def item_of(line):
    """The list item that ``line`` begins: the columns of its marker and of its content; None where there is none."""
    found = ITEM.match(line.lstrip(" \t"))
    if not found:
        return None
    indent, gap = indent_of(line), len(found["gap"].expandtabs(TAB))
    content = indent + len(found["marker"]) + (gap if gap <= TAB else 1)
    return Item(indent, content, found["number"], found["text"])


def indent_of(line):
    """The columns of white space at the beginning of ``line``."""
    blank = line[: len(line) - len(line.lstrip(" \t"))]
    return len(blank.expandtabs(TAB))


def dedented(line, columns):
    """``line`` without its first ``columns``, so far as they are white space; a tab that is cut leaves spaces."""
    column = position = 0
    while column < columns and line[position : position + 1] in (" ", "\t"):
        column += 1 if line[position] == " " else TAB - column % TAB
        position += 1
    return " " * max(0, column - columns) + line[position:]


def first_code_block(text):
    """The content of the first fenced code block, or None when there is none that is complete."""
    blocks, code = Blocks(), []
    for part, line in [*blocks.feed(text), *blocks.finish()]:
        if part is Part.CLOSES:
            return "".join(code)
        if part is Part.CODE:
            code.append(line)
    return None
