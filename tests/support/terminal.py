# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A command on a pseudo-terminal, and the window that its user sees: ``Terminal`` runs it, ``Window`` shows it.

with Terminal([program, "chat"], environment, columns=80, lines=24) as terminal:
    terminal.wait_for("> ")
    terminal.type("Hello\\r")
    terminal.wait_for(lambda window: len(window.rows) > 3)
    terminal.resize(40, 24)
    assert terminal.end() == 0
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
import unicodedata

import pyte
from wcwidth import wcwidth

PATIENCE = 60.0


class Window(pyte.Screen):
    """What a terminal shows, and what has scrolled off its top.

    :param reflows: whether what was wrapped at the edge is wrapped anew when the window changes its width, as
        Terminal.app and iTerm2 do; else what no longer fits is cut off, as in xterm.
    """

    def __init__(self, columns=80, lines=24, reflows=False):
        self.scrolled_off = []
        self.reflows = reflows
        self._drawing = False
        super().__init__(columns, lines)

    @property
    def rows(self):
        """Every row from the first that scrolled off to the last that is not empty, without the blanks at its end."""
        return _without_end([_text(row).rstrip() for row in self._all_rows()], "")

    @property
    def lines_as_written(self):
        """Like :attr:`rows`, but what the terminal itself wrapped at its edge is one line."""
        lines = [""]
        for row in self._all_rows():
            lines[-1] += _text(row)
            if not _wraps(row):
                lines.append("")
        return _without_end([line.rstrip() for line in lines], "")

    @property
    def text(self):
        return "\n".join(self.rows)

    def _all_rows(self):
        return [*self.scrolled_off, *(self.buffer[y] for y in range(self.lines))]

    # Where pyte knows too little: joiners, wide characters at the edge, what scrolls off, new sizes.

    def draw(self, data):
        self._drawing = True
        for text in [data] if data.isascii() else data:
            if not text.isascii() and wcwidth(text) == 0 and not unicodedata.combining(text):
                self._join(text)
                continue
            if not text.isascii() and wcwidth(text) == 2 and self.cursor.x == self.columns - 1:
                self.cursor.x = self.columns
            super().draw(text)
        self._drawing = False

    def _join(self, char):
        """Add ``char``, which has no width, to what was drawn last."""
        row = self.buffer[self.cursor.y]
        x = self.cursor.x - (1 if row[self.cursor.x - 1].data else 2)
        row[x] = row[x]._replace(data=row[x].data + char)

    def index(self):
        row = self.buffer[self.cursor.y]
        row.wraps = self._drawing
        if self.cursor.y == self.lines - 1:
            self.scrolled_off.append(self.buffer[0])
        super().index()

    def erase_in_line(self, how=0, private=False):
        super().erase_in_line(how, private)
        self.buffer[self.cursor.y].wraps = False

    def erase_in_display(self, how=0, *args, **kwargs):
        for y in range(self.cursor.y + 1 if how == 0 else 0, self.lines):
            self.buffer[y].wraps = False
        super().erase_in_display(how, *args, **kwargs)

    def resize(self, lines=None, columns=None):
        """A new size; the row of the cursor stays visible."""
        lines, columns = lines or self.lines, columns or self.columns
        rows, y, x = self._all_rows(), len(self.scrolled_off) + self.cursor.y, self.cursor.x
        top = len(self.scrolled_off)
        if self.reflows:
            rows, y, x = self._reflowed(rows, y, x, columns)
            top = 0  # what has scrolled off comes back into a window that has room for it
        elif columns < self.columns:
            x = min(x, columns - 1)
            for row in rows:
                for beyond in [beyond for beyond in row if beyond >= columns]:
                    del row[beyond]
        top = max(top, y - lines + 1)
        self.scrolled_off = rows[:top]
        self.buffer.clear()
        self.buffer.update(enumerate(rows[top : top + lines]))
        self.lines, self.columns = lines, columns
        self.set_margins()
        self.tabstops = set(range(8, columns, 8))
        self.cursor.y, self.cursor.x = y - top, x

    def _reflowed(self, rows, y, x, columns):
        """``rows`` wrapped at ``columns``, and where in them the cursor is that was at ``x`` in row ``y``."""
        wrapped, cells, offset, cursor = [], [], None, (0, 0)
        for number, row in enumerate(rows):
            if number == y:
                offset = len(cells) + x
            cells += [row[x] for x in range(_width(row))]
            if _wraps(row):
                continue
            if offset is not None:
                cells += [self.default_char] * (offset - len(cells))
            while True:
                end = columns - (len(cells) > columns and not cells[columns].data)
                if offset is not None and (offset < end or offset == len(cells) <= end):
                    cursor, offset = (len(wrapped), offset), None
                elif offset is not None:
                    offset -= end
                wrapped.append(self._row(cells[:end], wraps=len(cells) > end))
                cells = cells[end:]
                if not cells:
                    break
        return wrapped, *cursor

    def _row(self, cells, wraps):
        row = pyte.screens.StaticDefaultDict(self.default_char)
        row.update(enumerate(cells))
        row.wraps = wraps
        return row


def _wraps(row):
    return getattr(row, "wraps", False)


def _width(row):
    """The cells that were written; the blanks at the end only where the text goes on in the next row."""
    return max((x + 1 for x, cell in row.items() if cell.data != " " or _wraps(row)), default=0)


def _text(row):
    return "".join(row[x].data for x in range(_width(row)))


def _without_end(values, empty):
    while values and values[-1] == empty:
        values.pop()
    return values


class Terminal:
    """``command`` on a terminal of its own; ``window`` is what it shows."""

    def __init__(self, command, environment=None, columns=80, lines=24, reflows=False):
        environment = {**os.environ, "TERM": "xterm-256color"} if environment is None else environment
        self.window = Window(columns, lines, reflows)
        self.window.write_process_input = self.type
        self._stream = pyte.ByteStream(self.window)
        self._status = None
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(OSError):
                _set_size(0, columns, lines)
                os.execvpe(command[0], command, environment)
            os._exit(127)
        _set_size(self._terminal, columns, lines)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._terminal)

    def type(self, text):
        """Press the keys that send ``text``: ``"\\r"`` is the return key, ``"\\x03"`` Ctrl-C."""
        os.write(self._terminal, text.encode("utf-8", "surrogateescape"))

    def resize(self, columns, lines):
        """Pull at the window's corner; the program is sent SIGWINCH."""
        self.window.resize(lines, columns)
        _set_size(self._terminal, columns, lines)

    def wait_for(self, wanted, timeout=PATIENCE):
        """Wait until ``wanted`` is on the window, or is true of it if it is a function."""
        shows = wanted if callable(wanted) else lambda window: wanted in window.text
        deadline = time.monotonic() + timeout
        while not shows(self.window):
            assert self._read(deadline), f"{wanted!r} did not come; the window shows:\n{self.window.text}"

    def end(self, timeout=PATIENCE):
        """The exit status of the command, when it has ended and all that it wrote is on the window."""
        deadline = time.monotonic() + timeout
        while self._read(deadline):
            pass
        assert time.monotonic() < deadline, f"the command does not end; the window shows:\n{self.window.text}"
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def _read(self, deadline):
        """Show what has come, or else what comes next; False when ``deadline`` has passed or nothing will come."""
        ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
        try:
            received = os.read(self._terminal, 65536) if ready else b""
        except OSError:  # EIO is Linux's end of file
            received = b""
        self._stream.feed(received)
        return bool(received)


def _set_size(descriptor, columns, lines):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
