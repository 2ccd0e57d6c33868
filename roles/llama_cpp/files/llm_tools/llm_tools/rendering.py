# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Markdown on a terminal, drawn by rich while the answer is still coming."""

from __future__ import annotations

import time

from markdown_it import MarkdownIt
from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from .environment import printable
from .markdown import finished_blocks

REFRESH_SECONDS = 0.1

#: As rich parses it, but for HTML, which rich leaves out: "vector<int>" is part of an answer.
PARSER = MarkdownIt().enable(["strikethrough", "table"]).disable(["html_block", "html_inline"])


class Answer(Markdown):
    """Markdown with whatever looks like a tag as it stands."""

    def __init__(self, text):
        super().__init__("", hyperlinks=False)
        self.markup, self.parsed = text, PARSER.parse(text)


class MarkdownWriter:
    """Prints every block for good when it is finished; below, the one that is still coming is redrawn."""

    def __init__(self, environment):
        self._console = Console(
            file=environment.stdout, no_color=not environment.has_colours(environment.stdout), highlight=False
        )
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._text = ""
        self._printed = False
        self._shown = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._live.stop()
        self._print(self._text)

    def write(self, text):
        finished, self._text = finished_blocks(self._text + printable(text))
        self._live.start()
        self._print(finished)
        if finished or time.monotonic() - self._shown > REFRESH_SECONDS:
            self._shown = time.monotonic()
            self._live.update(self._render(self._text), refresh=True)

    def _print(self, text):
        if text.strip():
            if self._printed:
                self._console.print()
            self._console.print(self._render(text))
            self._printed = True

    def _render(self, text):
        return Answer(text)
