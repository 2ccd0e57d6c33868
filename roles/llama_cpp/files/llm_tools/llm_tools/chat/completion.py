# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What may follow in a line that is typed."""

from __future__ import annotations

import contextlib
import os
import re
from typing import NamedTuple

from ..core.base.errors import LlamaCppError
from ..sampling import OPTIONS
from .commands import COMMANDS

AT_END = re.compile(r'(?<!\S)@(?:"([^"\n]*)|([^\s@"]*))\Z')
LISTED = 50


class Candidate(NamedTuple):
    """``text`` takes the place of the last ``length`` characters; ``note`` says more about it."""

    text: str
    length: int
    note: str = ""


def candidates(session, before):
    """The Candidates behind the text ``before``, as a list."""
    at = AT_END.search(before)
    if before.startswith("/") and not before.startswith("//") and "\n" not in before:
        name, blank, argument = before[1:].partition(" ")
        if not blank:
            return [
                Candidate("/" + known + " " * bool(COMMANDS[known].argument), len(before), COMMANDS[known].help)
                for known in COMMANDS
                if known.startswith(name)
            ]
        return _arguments(session, name, argument.lstrip())
    if at:
        quoted, typed = at[1] is not None, at[1] or at[2] or ""
        return [Candidate(_quoted(path, quoted), len(at[0])) for path in _paths(typed)]
    return []


def _arguments(session, name, typed):
    if name in ("read", "image", "audio", "glob"):
        return [Candidate(path, len(typed)) for path in _paths(typed)]
    if name == "system" and typed.startswith("@"):
        return [Candidate(path, len(typed) - 1) for path in _paths(typed[1:])]
    known = []
    with contextlib.suppress(LlamaCppError):
        if name == "model":
            known = [(model, "") for model in session.offered()]
        elif name == "load":
            known = [(found.id, found.title or "") for found in session.store.summaries()[:LISTED]]
        elif name == "set":
            known = [(option.key + "=", option.help) for option in OPTIONS]
    return [Candidate(word, len(typed), note) for word, note in known if word.startswith(typed)]


def _paths(typed):
    """The paths that begin with ``typed``; a directory ends with a slash. Hidden ones only when the dot is typed."""
    directory, beginning = os.path.split(typed)
    try:
        names = sorted(os.listdir(os.path.expanduser(directory) or "."))
    except OSError:
        return []
    found = [os.path.join(directory, name) for name in names if name.startswith(beginning)]
    shown = [path for path in found if beginning or not os.path.basename(path).startswith(".")]
    return [path + "/" * os.path.isdir(os.path.expanduser(path)) for path in shown]


def _quoted(path, quoted):
    """``path`` behind an @; in quotes where it has a blank or they were begun, and closed when it is whole."""
    if not quoted and not re.search(r'[\s"]', path):
        return "@" + path
    return f'@"{path}' + '"' * (not path.endswith("/"))
