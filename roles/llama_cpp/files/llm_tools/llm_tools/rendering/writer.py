# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows an answer while it comes: what is finished once and for good, and below it the block that is not.

That block is drawn anew as it grows, if it can be erased: when it would not fit the window, or the window has become
narrower, the rest of it passes as it comes.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
import threading
import time

from rich.cells import cell_len

from ..environment import printable
from ..markdown import Blocks, Part
from .code import CodePainter
from .drawing import Drawer
from .screen import Screen, without_echo

REFRESH_SECONDS = 0.1
LEAST_COLUMNS = 20  # in a window that is narrower everything passes as it comes
TAB = "    "  # a terminal that wraps a line writes over what is before a tab at its edge


@contextlib.contextmanager
def handling(number, handler):
    """``handler`` is called when the signal ``number`` comes; only the main thread can ask for that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before or signal.SIG_DFL)


@contextlib.contextmanager
def interrupt_held_back():
    """Ctrl-C takes effect afterwards, so that what is shown and what is known to be shown agree."""
    came = []
    try:
        with handling(signal.SIGINT, lambda *_: came.append(True)):
            yield
    finally:
        if came:
            signal.raise_signal(signal.SIGINT)


def redraw_after(seconds):
    """Have SIGALRM sent then, to the main thread, which waits for the next piece meanwhile; 0: not at all."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, seconds)


class MarkdownWriter:
    """Renders Markdown on the terminal that is stdout."""

    def __init__(self, environment):
        self._environment = environment
        self._colours = environment.has_colours(environment.stdout)
        self._screen = Screen(environment.stdout)
        self._drawer = Drawer(self._colours)
        self._painter = None
        self._blocks = Blocks()
        self._anything = False  # whether something is shown: blank lines before it are not
        self._blank_lines = 0  # that are shown when something follows
        self._length = 0  # of the source of the unfinished block, so far as it is on the screen
        self._passes = False  # whether that block passes as it comes
        self._drawn_at = float("-inf")
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self._stack.enter_context(without_echo(self._environment.stdout))
        self._stack.enter_context(handling(signal.SIGCONT, lambda *_: self._screen.lose_place()))
        self._stack.enter_context(handling(signal.SIGALRM, lambda *_: self._catch_up()))
        return self

    def __exit__(self, *failure):
        with self._stack:
            self.settle()

    def write(self, text):
        """Show ``text``, a piece of the answer of any length."""
        redraw_after(0)
        with interrupt_held_back():
            self._environment.status("")
            self._show(self._blocks.feed(printable(text)))
            self._preview(self._blocks.unfinished)

    def settle(self):
        """Show for good what has come; what follows begins a block, and others may write to the terminal meanwhile."""
        redraw_after(0)
        with interrupt_held_back():
            self._show(self._blocks.finish())
            self._screen.end_line()

    def _catch_up(self):
        """Show what came too soon after the last drawing, when nothing has come since."""
        with interrupt_held_back():
            self._preview(self._blocks.unfinished)

    def _show(self, parts):
        for part, group in itertools.groupby(parts, key=lambda item: item[0]):
            sources = [source for _, source in group]
            if part is Part.BLANK:
                self._blank_lines += len(sources) if self._anything else 0
            elif part is Part.BLOCK:
                for source in sources:
                    self._show_block(source)
            elif part in (Part.OPENS, Part.CLOSES):
                self._show_fence(part, *sources)
            else:
                self._show_code(part, sources)

    def _show_block(self, source):
        rows = self._rows(source)
        if rows is None:
            self._pass_on(source)
        else:
            self._append("".join(row.text + "\n" for row in rows))
        self._length, self._passes, self._drawn_at = 0, False, float("-inf")

    def _show_fence(self, part, source):
        if part is Part.OPENS and self._colours:
            self._painter = CodePainter(source.strip().lstrip("`~"))
        self._append(self._environment.paint(source.rstrip("\n"), "dim", self._environment.stdout) + "\n")

    def _show_code(self, part, lines):
        lines = [self._fitted(line) for line in lines]
        if part is Part.CODE and self._colours:
            lines = self._painter.paint(lines)
        self._append("".join(lines))

    def _fitted(self, line):
        """``line`` as it is; of one that the terminal will wrap, the tabs as spaces."""
        spaced = line.expandtabs()
        return line if spaced == line or cell_len(spaced) < self._screen.size.columns else spaced

    def _append(self, text):
        """Add ``text`` to what is shown for good."""
        self._begin()
        self._screen.write(text)

    def _begin(self):
        """Blank lines come to the screen when something follows them."""
        if self._blank_lines:
            self._screen.write("\n" * self._blank_lines)
            self._blank_lines = 0
        self._anything = True

    def _preview(self, source):
        """Show the block that is not finished; it is not drawn more often than anyone could see."""
        if not source:
            return
        wait = self._drawn_at + REFRESH_SECONDS - time.monotonic()
        if wait > 0 and self._screen.can_erase and not self._passes:
            redraw_after(wait)
            return
        rows = self._rows(source)
        if rows is not None and self._screen.has_room(rows):
            self._begin()
            self._screen.draw(rows)
            self._length, self._drawn_at = len(source), time.monotonic()
        else:
            self._pass_on(source)

    def _rows(self, source):
        """The rows of a block, or None when it is to pass as it comes."""
        if not self._screen.can_erase:
            self._screen.keep()
            self._passes = True
        columns = self._screen.size.columns
        return None if self._passes or columns < LEAST_COLUMNS else self._drawer.draw(source, columns - 1)

    def _pass_on(self, source):
        """Show what of a block is not on the screen yet, in place of what is drawn of it."""
        if not self._passes:
            self._length, self._passes = 0, True
        if len(source) > self._length:
            self._append(source[self._length :].replace("\t", TAB))
            self._length = len(source)
