# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""All conversations of a user: a directory with one file for each."""

from __future__ import annotations

import collections
import contextlib
import os

from ..core.base.errors import LlamaCppError, in_words
from ..core.base.files import exclusive, open_file
from ..core.base.text import did_you_mean
from ..errors import UsageError
from ..user_files import make_private
from .content import text_of
from .conversation import SUFFIX, Conversation, header_of, id_of, seconds_of, utc

LIST_COMMAND = "llm conversations list"

#: ``updated``: when the last message was added, in seconds since 1970; ``problem``: why it cannot be used, or None.
Summary = collections.namedtuple("Summary", "id path title model created updated source problem")

#: A place where a text was found: in the title when ``role`` is None.
Hit = collections.namedtuple("Hit", "summary role excerpt")

#: How many characters an excerpt has on each side of what was found.
AROUND = 40


class Store:
    """The conversations in ``directory``, which is made with the first of them and closed to other users."""

    def __init__(self, directory):
        self.directory = directory

    def create(self, model=None, system=None, title=None, created=None, source=None, wanted_id=None):
        """A new conversation, which becomes a file with its first messages.

        :param title: by default the beginning of the first prompt.
        :param created: when it began, in seconds since 1970, if not now.
        :param source: what it was imported from, as text that never changes.
        :param wanted_id: its identifier, if it has been told to anybody already.
        """
        header = {"created": utc(created), "title": title, "model": model, "system": system}
        header.update({"source": source} if source else {})
        return Conversation(self.directory, header, wanted_id=wanted_id)

    def latest(self):
        """The conversation that was added to last, or None."""
        usable = (summary for summary in self.summaries() if not summary.problem)
        return next((Conversation.load(summary.path) for summary in usable), None)

    def find(self, name):
        """The conversation that :meth:`summary_of` finds. Raises also LlamaCppError if it is damaged."""
        return Conversation.load(self.summary_of(name).path)

    def summary_of(self, name):
        """The Summary of the conversation with this identifier, title or beginning of an identifier.

        Raises UsageError with the nearest ones if it is none or not the only one.
        """
        summaries = self.summaries()
        for fits in (
            lambda summary: summary.id == name,
            lambda summary: summary.title == name,
            lambda summary: name and summary.id.startswith(name),
        ):
            found = [summary for summary in summaries if fits(summary)]
            if len(found) == 1:
                return found[0]
            if found:
                which = ", ".join(f"{summary.id} ({summary.title})" for summary in found[:5])
                raise UsageError(f'"{name}" means {len(found)} conversations: {which}{", …" if found[5:] else ""}.')
        names = [word for summary in summaries for word in (summary.id, summary.title) if word]
        hint = did_you_mean(name, names) or "."
        raise UsageError(f'there is no conversation "{name}"{hint} To list them: {LIST_COMMAND}')

    def summaries(self):
        """A Summary of each conversation, the one that was added to last comes first. Only headers are read."""
        found = []
        with contextlib.suppress(FileNotFoundError), _told(self.directory), os.scandir(self.directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # it was deleted meanwhile
                    if entry.name.endswith(SUFFIX) and entry.name != SUFFIX and entry.stat().st_size:
                        found.append((entry.stat().st_mtime_ns, _summary(entry)))
        return [summary for _, summary in sorted(found, key=lambda pair: (pair[0], pair[1].id), reverse=True)]

    def search(self, text):
        """Yield a Hit for each message and title that contains ``text``, in upper or lower case."""
        wanted = text.casefold()
        for summary in self.summaries():
            if summary.problem:
                continue
            for role, content in _texts(summary):
                place = content.casefold().find(wanted)
                if place >= 0:
                    yield Hit(summary, role, _excerpt(content, place, len(text)))

    def delete(self, conversation_id):
        """Remove the conversation with exactly this identifier. Raises LlamaCppError."""
        path = os.path.join(self.directory, conversation_id + SUFFIX)
        with _told(path):
            os.unlink(path)

    @contextlib.contextmanager
    def importing(self):
        """While the block runs, no other process imports. Yields a function that adds a conversation.

        It takes the arguments of :meth:`create` and ``messages``, and returns whether it added the conversation: False
        if one with this ``source`` is here.
        """
        make_private(self.directory)
        with exclusive(os.path.join(self.directory, ".importing")):
            known = {summary.source for summary in self.summaries()}

            def add(messages, source, **properties):
                if source in known:
                    return False
                conversation = self.create(source=source, **properties)
                conversation.append(messages)
                last = seconds_of(conversation.messages[-1]["created"])
                os.utime(conversation.path, (last, last))  # a conversation of last year is not the latest
                known.add(source)
                return True

            yield add


def _summary(entry):
    name, updated = id_of(entry.path), entry.stat().st_mtime
    try:
        with open_file(entry.path) as stream:
            header = header_of(entry.path, stream.readline())
    except FileNotFoundError:
        raise
    except (OSError, LlamaCppError) as error:
        return Summary(name, entry.path, None, None, None, updated, None, in_words(error, path=entry.path))
    title, model, created, source = (header.get(key) for key in ("title", "model", "created", "source"))
    return Summary(name, entry.path, title, model, created, updated, source, None)


def _texts(summary):
    """Pairs of a role and a text, beginning with the title, whose role is None."""
    yield None, summary.title or ""
    try:
        messages = Conversation.load(summary.path).messages
    except LlamaCppError:  # deleted meanwhile, or a damaged line: `show` tells which
        return
    for message in messages:
        yield message["role"], text_of(message.get("content"))


def _excerpt(text, place, length):
    """What is around ``place``, in one line."""
    start, end = max(place - AROUND, 0), place + length + AROUND
    return ("…" if start else "") + " ".join(text[start:end].split()) + ("…" if end < len(text) else "")


@contextlib.contextmanager
def _told(path):
    """Failures of the system as LlamaCppError, except that a directory is missing."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LlamaCppError(in_words(error, path=path)) from error
