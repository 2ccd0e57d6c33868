# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The commands of a chat. Those that llama.cpp's own chat has are named and do as there (tools/cli of 0c1e570)."""

from __future__ import annotations

import argparse
import os
import tempfile
from typing import Callable, NamedTuple

from ..answer import figures
from ..conversations.conversation import last_user
from ..core.base.text import nearest
from ..editing import edit_file
from ..errors import UsageError
from ..prompt import audio_part, image_part, read_text
from ..sampling import OPTIONS, named
from .files import fenced, matching, path_of

#: Words that end other programs.
ENDINGS = ("exit", "quit", "bye", "q", ":q")
LISTED = 10


class Command(NamedTuple):
    """``run(session, argument)``; ``argument`` is what stands behind the name in the help, in brackets if it may be
    missing."""

    run: Callable
    argument: str
    help: str


def obey(session, line):
    """Do what ``line``, which begins with a slash, says. Raises UsageError for a command that does not exist."""
    name, *rest = line[1:].split(None, 1) or [""]
    argument = rest[0].strip() if rest else ""
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(_unknown(name))
    if argument and not command.argument:
        raise UsageError(f"/{name} takes nothing behind it.")
    if not argument and command.argument and not command.argument.startswith("["):
        raise UsageError(f"/{name} needs more: /{name} {command.argument}")
    command.run(session, argument)


def _unknown(name):
    close = "exit" if name in ENDINGS else nearest(name, COMMANDS)
    hint = f"Did you mean: /{close}" if close else "For the commands: /help"
    return f'there is no command "/{name}". {hint}\nTo send it as a prompt: //{name} …'


def end(session, argument):
    session.ended = True


def regenerate(session, argument):
    messages = session.transcript.messages
    last = messages[last_user(messages)] if messages else None
    if last is None or last["role"] != "user":
        raise UsageError("there is no answer yet.")
    session.ask(last, replace=True)


def retry(session, argument):
    if session.failed is None:
        raise UsageError("no prompt is without an answer. To answer the last one again: /regen")
    session.ask(*session.failed)


def clear(session, argument):
    session.start_anew()
    session.environment.say("A new conversation begins.")


def read(session, argument):
    path = path_of(argument)
    session.texts.append(fenced(path))
    session.environment.say(f"{path} comes with the next prompt.")


def glob(session, argument):
    added = 0
    for path in matching(argument):
        try:
            session.texts.append(fenced(path))
            added += 1
        except UsageError as error:  # an image among the texts
            session.environment.say(f"left out: {error}")
    session.environment.say(f"{added} files come with the next prompt.")


def add_media(session, argument, part_of):
    path = path_of(argument)
    session.media.append(part_of(path))
    session.environment.say(f"{path} comes with the next prompt.")


def image(session, argument):
    add_media(session, argument, image_part)


def audio(session, argument):
    add_media(session, argument, audio_part)


def model(session, argument):
    if argument:
        session.choose_model(argument)
        session.environment.say(f"{session.model} answers from now on.")
        return
    for name in session.offered():
        session.environment.say(f"{'*' if name == session.model else ' '} {name}")


def system(session, argument):
    if argument in ('""', "''"):
        session.system = None
    elif argument:
        session.system = read_text(os.path.expanduser(argument[1:])) if argument.startswith("@") else argument
    session.environment.say(f"System prompt: {session.system}" if session.system else "There is no system prompt.")


def save(session, argument):
    session.transcript.keep(argument)
    path = session.transcript.conversation.path
    session.environment.say(f"Saved as {path}" if path else "It will be saved with its first answer.")


def load(session, argument):
    if argument:
        session.start_anew(session.store.find(argument))
        session.environment.say(session.transcript.told())
        return
    summaries = session.store.summaries()
    lines = [f"{summary.id}  {summary.title or summary.problem or '-'}" for summary in summaries[:LISTED]]
    session.environment.say("\n".join(lines or ["There are no saved conversations."]))


def stats(session, argument):
    if session.answer is None:
        raise UsageError("there is no answer yet.")
    session.environment.say(figures(session.answer, session.context()))


def set_option(session, argument):
    if argument:
        try:
            name, value = named(argument)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{error}. Options: {', '.join(option.key for option in OPTIONS)}, stop, …") from None
        session.options[name] = value
    told = (f"{name}={value}" for name, value in session.options.items() if name != "response_format")
    session.environment.say("  ".join(told))


def edit(session, argument):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "prompt.md")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(argument)
        edit_file(session.environment, path)
        text = read_text(path)
    if text.strip():
        session.prompt(text)


def tell(session, argument):
    lines = [f"/{name} {command.argument}".ljust(22) + command.help for name, command in COMMANDS.items()]
    session.environment.say("\n".join([*lines, *KEYS]))


KEYS = (
    "",
    "@path in a prompt puts a text file before it; @@ is a plain @, and // a plain / at its beginning.",
    "Ctrl-J or Alt-Enter  new line        Ctrl-C  stop the answer, clear the line",
    "Ctrl-E  end the reasoning            Ctrl-D  end the chat",
)

COMMANDS = {
    "regen": Command(regenerate, "", "answer the last prompt again, in place of its answer"),
    "retry": Command(retry, "", "ask the prompt again that got no answer"),
    "clear": Command(clear, "", "begin a new conversation"),
    "read": Command(read, "FILE", "put a text file before the next prompt"),
    "glob": Command(glob, "PATTERN", "put all text files that match before the next prompt"),
    "image": Command(image, "FILE", "add an image to the next prompt"),
    "audio": Command(audio, "FILE", "add a WAV or MP3 file to the next prompt"),
    "edit": Command(edit, "[TEXT]", "write a prompt in your editor"),
    "model": Command(model, "[NAME]", "list the models, or choose one"),
    "system": Command(system, "[TEXT|@FILE]", 'show or set the system prompt; "" for none'),
    "set": Command(set_option, "[NAME=VALUE]", "show the options of the request, or set one"),
    "save": Command(save, "[TITLE]", "save the conversation under a title"),
    "load": Command(load, "[ID]", "list saved conversations, or go on with one"),
    "stats": Command(stats, "", "tokens, rates and use of the context of the last answer"),
    "help": Command(tell, "", "list the commands"),
    "exit": Command(end, "", "end the chat"),
}
