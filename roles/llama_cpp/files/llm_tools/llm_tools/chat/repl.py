# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Reads prompts and commands, one after the other, and does what they say until the user wants no more."""

from __future__ import annotations

import importlib

from .. import packages
from ..core.base.errors import LlamaCppError
from ..core.llama.errors import ContextExceeded
from ..exit_codes import ExitCode
from ..failures import told
from .commands import ENDINGS, obey
from .keys import restored
from .session import Session

QUESTION = "> "


def run(session, opening=None):
    """The whole chat; returns the exit status.

    :param opening: the content of the first message, for it is known already.
    """
    environment = session.environment
    reader = open_reader(session)
    environment.say(banner(session), colour="dim")
    with restored(environment.stdin.fileno()):
        if opening:
            environment.say(QUESTION + session.text)
            guarded(session, Session.send, opening, session.text)
        converse(session, reader)
    return ExitCode.SUCCESS if session.leave() else ExitCode.FAILURE


def converse(session, reader):
    """Read and do what is typed, until the user wants no more."""
    interrupts = 0
    while not session.ended:
        try:
            text = reader.read(QUESTION, session.take_typed()).strip("\n")
            interrupts = 0
            guarded(session, obeyed_or_asked, text)
        except EOFError:
            session.ended = True
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > 1:
                session.environment.say("To end the chat: /exit or Ctrl-D", colour="dim")


def open_reader(session):
    """The line editor; without prompt_toolkit, what Python has."""
    try:
        return packages.load(f"{__package__}.editor").Editor(session)
    except ImportError:
        return PlainReader()


class PlainReader:
    """Reads lines, with the editing of the readline module where that is there."""

    def __init__(self):
        try:
            self._readline = importlib.import_module("readline")
        except ImportError:
            self._readline = None

    def read(self, question, typed):
        """The next line; what was ``typed`` before can be edited in it."""
        if self._readline:
            self._readline.set_startup_hook(lambda: self._readline.insert_text(" ".join(typed.split("\n"))))
        try:
            return input(question)
        except (EOFError, KeyboardInterrupt):
            print()
            raise


def banner(session):
    """The first line: what answers, what goes on, where help is."""
    going_on = f"{session.transcript.told()}\n" if session.transcript.messages else ""
    return f"{going_on}{session.model or 'The model'} answers. /help lists commands and keys; Ctrl-D ends the chat."


def obeyed_or_asked(session, text):
    """Do what ``text`` says: a command, or a prompt."""
    if text.strip().lower() in ENDINGS:
        session.environment.say("To end the chat: /exit or Ctrl-D")
    elif text.startswith("/") and not text.startswith("//"):
        obey(session, text)
    elif text.strip():
        session.prompt(text[1:] if text.startswith("//") else text)


def guarded(session, action, *arguments):
    """Run ``action(session, …)``; an expected failure is told, and the chat goes on."""
    try:
        action(session, *arguments)
    except LlamaCppError as error:
        lines = [told(session.environment, error)]
        if isinstance(error, ContextExceeded):
            lines.append("To begin a new conversation: /clear")
        if session.failed:
            lines.append("To ask again: /retry")
        session.environment.say("\n".join(lines))
