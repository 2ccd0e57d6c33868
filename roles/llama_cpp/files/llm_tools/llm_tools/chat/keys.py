# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Keys that are pressed while a model answers."""

from __future__ import annotations

import contextlib
import os
import re
import select
import termios
import threading

#: Ctrl-E, for "enough": no terminal gives it a meaning of its own, and no other key sends it. Escape begins what
#: arrow keys send, and Enter is pressed by one who types ahead.
ENOUGH = b"\x05"

#: What other keys than letters send.
NOT_TEXT = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?|[\x00-\x09\x0b-\x1f\x7f]")


class Keys:
    """``with Keys(stream, enough) as keys``: ``enough()`` is called, in a thread, for each Ctrl-E.

    What is typed on the terminal ``stream`` does not appear meanwhile; it is in ``keys.typed`` afterwards. Without a
    ``stream`` there are no keys.
    """

    def __init__(self, stream, enough):
        self._stream, self._enough = stream, enough
        self._data = b""
        self._undo = contextlib.ExitStack()

    def __enter__(self):
        if self._stream:
            self._undo.enter_context(key_by_key(self._stream.fileno()))
            end, wake = os.pipe()
            thread = threading.Thread(target=self._read, args=(self._stream.fileno(), end), daemon=True)
            self._undo.callback(os.close, end)
            self._undo.callback(thread.join)
            self._undo.callback(os.close, wake)
            thread.start()
        return self

    def __exit__(self, *failure):
        self._undo.close()

    @property
    def typed(self):
        """The text that was typed ahead."""
        return NOT_TEXT.sub("", self._data.decode("utf-8", "replace").replace("\r", "\n"))

    def _read(self, terminal, end):
        """Take what is typed until ``end`` is closed, and whatever is there then."""
        with contextlib.suppress(OSError):  # the terminal is gone
            while terminal in select.select([terminal, end], [], [])[0]:
                data = os.read(terminal, 4096)
                if not data:
                    return
                if ENOUGH in data:
                    self._enough()
                self._data += data.replace(ENOUGH, b"")


@contextlib.contextmanager
def key_by_key(terminal):
    """The terminal gives each key at once and does not show it; Ctrl-C interrupts and costs nothing that was typed."""
    with restored(terminal) as before:
        changed = [*before]
        changed[3] = changed[3] & ~(termios.ICANON | termios.ECHO) | termios.NOFLSH
        termios.tcsetattr(terminal, termios.TCSADRAIN, changed)
        yield


@contextlib.contextmanager
def restored(terminal):
    """Whatever is changed of the terminal is changed back. Yields its attributes."""
    before = termios.tcgetattr(terminal)
    try:
        yield before
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
