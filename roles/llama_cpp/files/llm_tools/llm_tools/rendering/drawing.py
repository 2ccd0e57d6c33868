# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Blocks of Markdown as rows of a terminal; rich wraps the text, measures it and draws the tables."""

from __future__ import annotations

import io
from collections import namedtuple

from rich import box
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..markdown import dedented, indent_of
from .parsing import parse

#: Text that is one row of a terminal, and how many columns it fills at most.
Row = namedtuple("Row", "text width")

STYLES = {"strong": "bold", "em": "italic", "s": "strike", "code_inline": "cyan", "link": "underline"}
HEADINGS = {"h1": "bold underline", "h2": "bold", "h3": "bold italic"}
DIM = Style(dim=True)
CELL_WIDTH = 12  # a column of a table gets at least as much, or its longest word
FIRST_EMOJI = "\U0001f000"
LEAST_WIDTH = 4  # what margins and markers leave to the text


class Drawer:
    """Draws blocks of Markdown, with colours or without."""

    def __init__(self, colours):
        self._colours = colours
        self._console = Console(file=io.StringIO(), force_terminal=True, legacy_windows=False, highlight=False)

    def draw(self, source, width):
        """The rows of a block, at most ``width`` wide; its source as it is where drawing it would lose something."""
        rows = self._draw(source, width)
        excess = max(row.width for row in rows) - width
        return self.draw(source, width - excess) if 0 < excess < width - LEAST_WIDTH else rows

    def _draw(self, source, width):
        margin = min(indent_of(source), width // 2)
        text = "\n".join(dedented(line, indent_of(source)) for line in source.rstrip("\n").split("\n"))
        try:
            tree = parse(text)
            lines = self._children(tree, width - margin) if tree else []
        except (TooNarrow, RecursionError):
            lines = []
        if not any(segment.text.strip() for line in lines for segment in line):
            lines, margin = self._lines(Text(source.rstrip("\n")), width), 0
        return [self._row([Segment(" " * margin), *line]) for line in lines]

    def _row(self, line):
        while line and not line[-1].text.strip():
            line = line[:-1]
        if line:
            line = [*line[:-1], line[-1]._replace(text=line[-1].text.rstrip())]
        if not self._colours:
            line = list(Segment.remove_color(line))
        text = "".join(
            style.render(text, color_system=ColorSystem.STANDARD) if style else text for text, style, _ in line
        )
        return Row(text, greatest_width("".join(segment.text for segment in line)))

    # Nodes of the tree as lines of segments.

    def _children(self, node, width):
        return [line for child in node.children for line in self._block(child, width)]

    def _block(self, node, width):
        draw = getattr(self, f"_draw_{node.type}", self._children)
        return draw(node, width)

    def _draw_paragraph(self, node, width):
        return self._lines(self._inline(node), width)

    def _draw_heading(self, node, width):
        return self._lines(self._inline(node, HEADINGS.get(node.tag, "italic")), width)

    def _draw_hr(self, node, width):
        return [[Segment("─" * width, DIM)]]

    def _draw_code_block(self, node, width):
        head = self._lines(Text(node.info, style=DIM), width) if node.info else []
        return head + self._lines(Text(node.content.rstrip("\n"), style=STYLES["code_inline"]), width)

    _draw_fence = _draw_code_block

    def _draw_blockquote(self, node, width):
        return self._prefixed("▌ ", "▌ ", node, width)

    def _draw_list_item(self, node, width):
        marker = f"{node.info}{node.markup} " if node.info else "• "
        return self._prefixed(marker, " " * len(marker), node, width)

    def _prefixed(self, first, others, node, width):
        if width - len(first) < LEAST_WIDTH:
            raise TooNarrow
        lines = self._children(node, width - len(first)) or [[]]
        return [[Segment(others if number else first, DIM), *line] for number, line in enumerate(lines)]

    def _draw_table(self, node, width):
        head, *body = [row for part in node.children for row in part.children]
        cells = [[self._inline(cell) for cell in row.children] for row in (head, *body)]
        needed = [max(_least_width(row[column]) for row in cells) for column in range(len(cells[0]))]
        if sum(needed) + 3 * len(needed) > width:
            raise TooNarrow
        table = Table(box=box.HORIZONTALS, show_edge=False, pad_edge=False, header_style="bold")
        for text, cell in zip(cells[0], head.children):
            justify = str(cell.attrs.get("style", "")).partition(":")[2] or "left"
            table.add_column(text, overflow="fold", justify=justify)
        for row in cells[1:]:
            table.add_row(*row)
        return self._lines(table, width)

    def _inline(self, node, style=""):
        text = Text(style=style)
        self._append(text, node, [])
        return text

    def _append(self, text, node, styles):
        styles = [*styles, STYLES[node.type]] if node.type in STYLES else styles
        if node.type in ("softbreak", "hardbreak"):
            text.append("\n")
        elif node.type in ("text", "code_inline"):
            text.append(node.content, " ".join(styles))
        for child in node.children:
            self._append(text, child, styles)
        if node.type == "link":
            text.append(f" ({node.attrs['href']})", "blue")

    def _lines(self, renderable, width):
        options = self._console.options.update(width=width, overflow="fold")
        return self._console.render_lines(renderable, options, pad=False)


def greatest_width(text):
    """The columns that ``text`` fills on a terminal that shows the parts of a joined emoji one by one."""
    if text.isascii():
        return len(text)
    return max(cell_len(text), sum(2 if char >= FIRST_EMOJI else cell_len(char) for char in text))


def _least_width(text):
    """What a cell needs: its longest word, or enough for it to be read when it is wrapped."""
    return min(CELL_WIDTH, max((cell_len(word) for word in text.plain.split()), default=1))


class TooNarrow(Exception):
    """There is no room for what a block would be drawn with."""
