# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The end of a log file, for messages that must show why something failed."""

from __future__ import annotations

import os

from .files import open_file
from .text import last_lines

TAIL_BYTES = 64 * 1024


def tail(path, size=TAIL_BYTES):
    """The last ``size`` bytes of ``path`` as text; empty when there is no such file or it cannot be read."""
    try:
        with open_file(path) as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - size))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def quote_log(path, count=10):
    """The last lines of ``path`` with their heading, ready for an error message; says so when there are none."""
    return quote_output(path, count) or ("The log %s is empty or missing." % path if path else "")


def quote_output(path, count=10):
    """The same for a file that need not hold anything: an empty text when it does not."""
    lines = last_lines(tail(path), count) if path else []
    return "Last lines of %s:\n  %s" % (path, "\n  ".join(lines)) if lines else ""
