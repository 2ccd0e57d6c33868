# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How an answer appears on stdout while it comes: as it is, or rendered from Markdown on a terminal."""

from __future__ import annotations

from . import packages


def prepare_writer(environment, raw=False):
    """Import what :func:`open_writer` needs while the server has not answered yet."""
    if environment.can_draw(environment.stdout) and not raw:
        import threading  # noqa: PLC0415 - only for a terminal, and the commands have to start fast

        threading.Thread(target=open_writer, args=[environment, raw], daemon=True).start()


def open_writer(environment, raw=False):
    """The writer for this environment: Markdown is only rendered on a terminal, and only if rich is there.

    rich is imported here and not before: it would make every start of a command slower.
    """
    if environment.can_draw(environment.stdout) and not raw:
        try:
            return packages.load(f"{__package__}.rendering.writer").MarkdownWriter(environment)
        except ImportError:  # rich is a convenience; the answer is not
            pass
    return PlainWriter(environment)


class PlainWriter:
    """Passes every piece on at once; the last line always ends."""

    def __init__(self, environment):
        self._environment = environment
        self._last = "\n"

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.settle()

    def write(self, text):
        self._last = text[-1:] or self._last
        self._environment.write(text)

    def settle(self):
        """End the line, so that others may write to the terminal."""
        if self._last != "\n":
            self.write("\n")
