# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where the files of the user of ``llm`` are, and what a conversation is called.

The XDG base directories (https://specifications.freedesktop.org/basedir-spec/latest/) count on every system; where
they are not set, macOS has its own place (docs/macos.md).
"""

from __future__ import annotations

import os
import sys
import time

from .core.base.errors import LlamaCppError, in_words

NAME = "llm-client"
MACOS = "~/Library/Application Support"

#: The end of an identifier is made of these: letters and digits that look alike are left out.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
LETTERS = 2


def conversations_dir(environ):
    """The directory of the saved conversations; it need not exist."""
    return os.path.join(_directory(environ, "XDG_DATA_HOME", "~/.local/share"), "conversations")


def new_conversation_id(seconds=None, letters=LETTERS):
    """An identifier for a conversation that began at a time in seconds since 1970, by default now.

    A server is told it with the first request, and the file has it for its name, unless that is taken by then.
    """
    end = "".join(ALPHABET[byte % len(ALPHABET)] for byte in os.urandom(letters))
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime(seconds)) + end


def templates_dir(environ):
    """The directory of the templates; it need not exist."""
    return os.path.join(_directory(environ, "XDG_CONFIG_HOME", "~/.config"), "templates")


def history_file(environ):
    """What was typed in the line editor; it need not exist."""
    return os.path.join(_directory(environ, "XDG_STATE_HOME", "~/.local/state"), "history")


def make_private(directory):
    """Make ``directory`` and what is missing above it, each for its owner alone, as the specification wants it.

    Raises LlamaCppError when it cannot be made.
    """
    from .core.base.files import make_directories  # noqa: PLC0415 - rare, and the commands have to start fast

    if os.path.isdir(directory):
        return
    make_private(os.path.dirname(directory))
    try:
        make_directories(directory, 0o700)
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be made", directory)) from error


def _directory(environ, variable, fallback):
    base = environ.get(variable, "")
    if not os.path.isabs(base):  # to be ignored, says the specification
        base = os.path.expanduser(MACOS if sys.platform == "darwin" else fallback)
    return os.path.join(base, NAME)
