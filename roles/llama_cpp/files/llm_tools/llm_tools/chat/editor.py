# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The line editor of a chat, on prompt_toolkit."""

from __future__ import annotations

import contextlib
import os

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from ..core.base.errors import LlamaCppError
from ..prompt import printable_utf8
from ..user_files import history_file, make_private
from .completion import candidates

LONGEST_KEPT = 10_000  # characters of a text in the history


class Editor:
    """Reads prompts of one or more lines, with a history, completion and the keys of Emacs."""

    def __init__(self, session):
        environment = session.environment
        self._prompt = PromptSession(
            history=History(history_file(environment.environ), environment.endpoint.key()),
            multiline=True,
            prompt_continuation="  ",
            key_bindings=key_bindings(),
            completer=Words(session),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            enable_open_in_editor=True,
            output=create_output(always_prefer_tty=True),
        )

    def read(self, question, typed):
        """The next prompt, after ``question``; ``typed`` is there already. Raises EOFError and KeyboardInterrupt."""
        return self._prompt.prompt([("bold", question)], default=typed)


class History(FileHistory):
    """What was typed, in a file for its owner alone.

    A text that begins with a blank is not kept, as in shells; nor is a very long one, nor one that holds the API key.
    """

    def __init__(self, path, key):
        super().__init__(path)
        self._key = key

    def load_history_strings(self):
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string):
        if string[:1].isspace() or len(string) > LONGEST_KEPT or (self._key and self._key in string):
            return
        with contextlib.suppress(OSError, LlamaCppError):  # a full disk is no reason not to answer
            make_private(os.path.dirname(self.filename))
            os.close(os.open(self.filename, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            super().store_string(printable_utf8(string))


class Words(Completer):
    """completion.py for prompt_toolkit."""

    def __init__(self, session):
        self._session = session

    def get_completions(self, document, complete_event):
        for found in candidates(self._session, document.text_before_cursor):
            yield Completion(found.text, -found.length, display_meta=found.note)


def key_bindings():
    """Enter sends; Ctrl-J and Alt-Enter begin a new line."""
    bindings = KeyBindings()

    @bindings.add("enter")
    def send(event):
        event.current_buffer.validate_and_handle()

    @bindings.add("c-j")
    @bindings.add("escape", "enter")
    def new_line(event):
        event.current_buffer.insert_text("\n")

    return bindings
