# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The end of what a terminal shows: rows that are drawn anew until what is final takes their place."""

from __future__ import annotations

import contextlib
import os
import shutil
import termios


def window_size(stream):
    """The columns and rows of the terminal of ``stream``; COLUMNS and LINES only where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        size = os.get_terminal_size(stream.fileno())
        if size.columns and size.lines:
            return size
    return shutil.get_terminal_size()


@contextlib.contextmanager
def without_echo(stream):
    """Typed keys are not shown meanwhile: they would move the cursor away from what is drawn.

    A job in the background would be stopped if it changed that, and is not typed at.
    """
    try:
        descriptor = stream.fileno()
        in_foreground = os.tcgetpgrp(descriptor) == os.getpgrp()
        before = termios.tcgetattr(descriptor)
    except (OSError, ValueError, termios.error):
        in_foreground = False
    if not in_foreground:
        yield
        return
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Screen:
    """Writes to a terminal; :meth:`draw` is for the moment, :meth:`write` for good."""

    def __init__(self, stream):
        self._stream = stream
        self._drawn = []
        self._place_is_lost = False
        self._at_line_start = True

    @property
    def size(self):
        return window_size(self._stream)

    @property
    def can_erase(self):
        """Whether the window still shows what is drawn as it was drawn."""
        return not self._place_is_lost and self.has_room(self._drawn)

    def has_room(self, rows):
        """Whether the window shows ``rows`` at once; rows too wide for it would be wrapped or cut off."""
        columns, lines = self.size
        return len(rows) < lines and all(row.width < columns for row in rows)

    def draw(self, rows):
        """Show ``rows`` in place of what is drawn."""
        if rows != self._drawn:
            self._emit(self._erasure() + "\n".join(row.text for row in rows))
            self._drawn = rows

    def write(self, text):
        """``text`` in place of what is drawn."""
        if text or self._drawn:
            erasure, self._drawn = self._erasure(), []
            self._emit(erasure + text)
            self._at_line_start = text.endswith("\n") if text else self._at_line_start

    def keep(self):
        """Leave what is drawn where it is."""
        if self._drawn:
            self._drawn, self._place_is_lost = [], False
            self._emit("\n")
            self._at_line_start = True

    def lose_place(self):
        """The process was stopped, and the shell has written below what is drawn."""
        self._place_is_lost = bool(self._drawn)

    def end_line(self):
        if not self._at_line_start:
            self.write("\n")

    def _erasure(self):
        up = len(self._drawn) - 1
        return "" if up < 0 else "\r" + (f"\033[{up}A" if up else "") + "\033[J"

    def _emit(self, text):
        self._stream.write(text)
        self._stream.flush()
