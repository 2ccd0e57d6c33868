# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One conversation in its file.

The first line is the header: ``{"format": 1, "id", "created", "title", "model", "system"}``, and ``source`` when it
was imported. Each further line is a message: ``role`` and ``content`` as in a request and, where they are known,
``reasoning``, ``model``, ``created``, ``usage``, and ``finish_reason`` for an answer that is not whole. Times are UTC.
The name of the file is the identifier.

Messages are appended in one write, so after a crash at most the last line is incomplete: it is not read, and the next
append cuts it off. Every writer locks the file, so the messages of two writers do not mix.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import time

from ..core.base.errors import LlamaCppError, in_words
from ..core.base.files import open_file, write_atomically
from ..core.base.json_form import Needed, OneOf, misfit
from ..core.base.strict_json import NotStrict, dotted, parse, shortened, visible
from ..user_files import LETTERS, make_private, new_conversation_id
from .content import kept, sendable, text_of

FORMAT = 1
SUFFIX = ".jsonl"

HEADER = {"format": Needed(int), **dict.fromkeys(("created", "title", "model", "system", "source"), str)}
PART = {
    "type": Needed(str),
    **dict.fromkeys(("text", "path", "sha256", "media_type", "format"), str),
    "image_url": {"url": Needed(str)},
    "input_audio": {"data": Needed(str)},
}
MESSAGE = {
    "role": Needed(str),
    "content": OneOf((str, [PART])),
    **dict.fromkeys(("reasoning", "model", "created", "tool_call_id", "finish_reason"), str),
    "tool_calls": [dict],
    "usage": dict,
}

#: What a request has of a message; the rest is for people.
SENT = ("role", "content", "tool_calls", "tool_call_id")

LONGEST_TITLE = 60


class Conversation:
    """A conversation, made by a Store.

    :ivar id: its identifier. As long as there is no file, the one that it is to have.
    :ivar path: its file; None until the first messages are appended.
    :ivar header: what the first line holds, a dict.
    :ivar messages: all messages, as they are saved.
    """

    def __init__(self, directory, header, path=None, messages=(), wanted_id=None):
        self.id = id_of(path) if path else wanted_id or new_conversation_id(seconds_of(header["created"]))
        self.path = path
        self.header = header
        self.messages = list(messages)
        self._directory = directory

    @classmethod
    def load(cls, path):
        """The conversation in the file ``path``. Raises LlamaCppError, which names the line that is damaged."""
        try:
            with open_file(path) as stream:
                data = stream.read()
        except OSError as error:
            raise LlamaCppError(in_words(error, "cannot be read", path)) from error
        lines = _complete_lines(data)
        messages = [_object_of(path, number, line, MESSAGE) for number, line in enumerate(lines[1:], 2)]
        return cls(os.path.dirname(path), header_of(path, b"".join(lines[:1])), path, messages)

    @property
    def title(self):
        return self.header.get("title")

    @property
    def model(self):
        return self.header.get("model")

    @property
    def system(self):
        return self.header.get("system")

    def request_messages(self):
        """The system prompt and all messages as a request has them. Raises LlamaCppError for an image that is gone."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *map(as_sent, self.messages)]

    def append(self, messages):
        """Add ``messages``, dicts as described above, and save them: all of them or none.

        An image or a recording may be as it was sent; with its file as ``path`` in its part, it can be sent again.
        Raises LlamaCppError if they cannot be saved; the file is then as it was.
        """
        messages = [prepared(message) for message in messages]
        with _told(self.path or self._directory):
            if self.path is None:
                self._make_file(messages)
            else:
                with _locked(self.path) as descriptor:
                    _append(descriptor, _lines(messages))
        self.messages += messages

    def last_exchange(self):
        """The last user message and what follows it; everything when there is no user message."""
        return self.messages[last_user(self.messages) :]

    def replace_last_exchange(self, messages):
        """Put ``messages`` in the place of :meth:`last_exchange`, in one step; none removes it.

        Raises LlamaCppError, also if another process has added messages meanwhile: they would be lost.
        """
        if self.path is None:
            self.append(messages)
            return
        count, messages = last_user(self.messages), [prepared(message) for message in messages]

        def changed(lines):
            if len(lines) != 1 + len(self.messages):
                raise LlamaCppError(
                    f"another program has changed the conversation {self.id}; nothing was replaced. Open it again."
                )
            return _joined(lines[: 1 + count]) + _lines(messages)

        self._rewrite(changed)
        self.messages = [*self.messages[:count], *messages]

    def rename(self, title):
        """Give it another title; the time of its last message stays."""
        self.update(title=title)

    def update(self, **fields):
        """Change ``title``, ``model`` or ``system`` of the header."""
        header = {**self.header, **fields}
        if self.path is not None:
            with _told(self.path):
                times = os.stat(self.path)
                self._rewrite(lambda lines: _lines([header]) + _joined(lines[1:]))
                os.utime(self.path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.header = header

    def _make_file(self, messages):
        """The file appears complete under its name, which an empty file has reserved."""
        make_private(self._directory)
        path = _reserved(self._directory, self.id, seconds_of(self.header["created"]))
        header = {"format": FORMAT, "id": id_of(path), **self.header}
        header["title"] = header.get("title") or title_of(messages)
        try:
            write_atomically(path, _lines([header, *messages]), 0o600)
        except BaseException:
            os.unlink(path)
            raise
        self.id, self.path, self.header = header["id"], path, header

    def _rewrite(self, changed):
        """Replace the file with ``changed(its complete lines)``."""
        with _told(self.path), _locked(self.path) as descriptor:
            write_atomically(self.path, changed(_complete_lines(_content_of(descriptor))), 0o600)


def utc(seconds=None):
    """A time in seconds since 1970, by default now, as it is saved: ``2026-11-26T15:30:12Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds_of(text):
    """The reverse of :func:`utc`, for any form of ISO 8601; UTC where it names no time zone. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def id_of(path):
    """The identifier of the conversation in the file ``path``."""
    return os.path.basename(path)[: -len(SUFFIX)]


def header_of(path, line):
    """The header in the first line of the file ``path``. Raises LlamaCppError."""
    header = _object_of(path, 1, line, HEADER)
    if header["format"] != FORMAT:
        raise LlamaCppError(
            f"{path} is a conversation of format {header['format']}; this command reads format {FORMAT}. Update it."
        )
    return header


def title_of(messages):
    """The beginning of the first user message, in one line."""
    texts = (text_of(message.get("content")) for message in messages if message["role"] == "user")
    return shortened(visible(" ".join(next(texts, "").split())), LONGEST_TITLE)


def as_sent(message):
    """``message``, as it is saved, as a request has it. Raises LlamaCppError for an image that is gone."""
    found = {key: message[key] for key in SENT if key in message}
    return {**found, "content": sendable(found.get("content"))}


def last_user(messages):
    """The index of the last user message; 0 when there is none."""
    return next((index for index in reversed(range(len(messages))) if messages[index]["role"] == "user"), 0)


def prepared(message):
    """``message`` as it is saved."""
    whole = {**message, "content": kept(message.get("content")), "created": message.get("created") or utc()}
    return {key: value for key, value in whole.items() if value is not None or key == "content"}


def _lines(values):
    """``values`` as lines of JSON; half a character, which a command line may hold, becomes a question mark."""
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode("utf-8", "replace")


def _joined(lines):
    return b"".join(line + b"\n" for line in lines)


def _complete_lines(data):
    """The lines of ``data`` that are not blank, without an incomplete last one."""
    return [line for line in data[: _end_of_complete_lines(data)].split(b"\n") if line.strip()]


def _end_of_complete_lines(data):
    """Where an incomplete last line begins. An editor may have left out the last line feed: such a line is complete."""
    end = data.rfind(b"\n") + 1
    with contextlib.suppress(NotStrict):
        parse(data[end:], most_bytes=len(data), any_text=True)
        return len(data)
    return end


def _object_of(path, number, line, form):
    try:
        value = parse(line, most_bytes=len(line), any_text=True)
        wrong = misfit(value, form)
        why = f"{dotted(wrong[0]) or 'it'}: expected: {wrong[1]}" if wrong else None
    except NotStrict as error:
        why = error
    if why:
        raise LlamaCppError(f"{path}, line {number} is damaged: {why}. Correct or remove the line.")
    return value


def _reserved(directory, wanted, seconds):
    """A new empty file with the name ``wanted``; if that is taken, with another one, which grows until it is free."""
    for attempt in range(1000):
        name = new_conversation_id(seconds, LETTERS + attempt // 8) if attempt else wanted
        path = os.path.join(directory, name + SUFFIX)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return path
    raise LlamaCppError(f"{directory} takes no new file.")


@contextlib.contextmanager
def _locked(path):
    """The descriptor of the file ``path``, locked; not of one that was replaced while the lock was waited for."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _content_of(descriptor):
    with open(descriptor, "rb", closefd=False) as stream:
        return stream.read()


def _append(descriptor, data):
    """Write ``data`` behind the last complete line, or nothing."""
    content = _content_of(descriptor)
    end = _end_of_complete_lines(content)
    missing = b"" if content[:end].endswith(b"\n") else b"\n"
    os.ftruncate(descriptor, end)
    try:
        rest = memoryview(missing + data)
        while rest:  # one write, unless the disk is nearly full
            rest = rest[os.write(descriptor, rest) :]
    except BaseException:
        os.ftruncate(descriptor, end)
        raise


@contextlib.contextmanager
def _told(path):
    """Failures of the system as LlamaCppError."""
    try:
        yield
    except FileNotFoundError as error:
        raise LlamaCppError(f"{path} has been removed meanwhile; this conversation cannot be saved.") from error
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be saved", path)) from error
