# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Lines of code, coloured by pygments as they come and otherwise left as they are."""

from __future__ import annotations

import re

from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, String

#: How many lines above a new one are read again at most, to know what it is part of.
CONTEXT_LINES = 50

#: In the terminal's own colours, which can be read on its own background.
COLOURS = {
    Comment: "2",
    Keyword: "35",
    Name.Builtin: "36",
    Name.Class: "33",
    Name.Decorator: "33",
    Name.Function: "34",
    Name.Tag: "34",
    Number: "36",
    String: "32",
    Generic.Deleted: "31",
    Generic.Heading: "1",
    Generic.Inserted: "32",
    Generic.Subheading: "36",
}


class CodePainter:
    """Colours one code block.

    :param info: what stands behind the opening fence; it begins with the name of the language.
    """

    def __init__(self, info):
        self._lexer = lexer_for(info)
        self._context = []

    def paint(self, lines):
        """The next complete ``lines`` with their colours."""
        if self._lexer is None:
            return lines
        known = self._context + lines
        source = "".join(known)
        tokens = list(self._lexer.get_tokens(source))
        if "".join(text for _, text in tokens) != source:
            return lines
        self._context = known[_last_beginning(tokens) :][-CONTEXT_LINES:]
        painted = "".join(_painted(kind, text) for kind, text in tokens)
        return re.findall(r"[^\n]*\n|[^\n]+", painted)[-len(lines) :]


def lexer_for(info):
    """The lexer for a language, or None; those of installed plug-ins are left alone, for it takes long to find them."""
    name = re.match(r"[\w+#.-]*", info.strip().lstrip("{.")).group().lower()
    if not any(name in aliases for _, aliases, _, _ in get_all_lexers(plugins=False)):
        return None
    return get_lexer_by_name(name, stripnl=False, ensurenl=False)


def _last_beginning(tokens):
    """The number of the last line that can be read without those above it: not indented, not within a text."""
    line, at_line_start, found = 0, True, 0
    for kind, text in tokens:
        if at_line_start and not text[:1].isspace() and kind not in String and kind not in Comment:
            found = line
        line += text.count("\n")
        at_line_start = text.endswith("\n")
    return found


def _painted(kind, text):
    while kind not in COLOURS and kind.parent:
        kind = kind.parent
    if kind not in COLOURS:
        return text
    return re.sub(r"[^\n]+", lambda part: f"\033[{COLOURS[kind]}m{part.group()}\033[0m", text)
