# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The messages of a chat, in the file of its conversation as soon as they can be saved there."""

from __future__ import annotations

from ..conversations.conversation import last_user, prepared, title_of
from ..core.base.errors import LlamaCppError


class Transcript:
    """The messages of ``conversation``, and those that are not in its file yet.

    :ivar saves: whether they are to get there.
    """

    def __init__(self, conversation, saves=True):
        self.conversation = conversation
        self.saves = saves
        self._unsaved = []
        self._replaces = False  # whether they take the place of the last exchange in the file
        self._header = {}

    @property
    def messages(self):
        """All messages, as they are saved."""
        kept = self.conversation.messages
        return [*(kept[: last_user(kept)] if self._replaces else kept), *self._unsaved]

    def before(self, replace):
        """The messages that come before the next exchange; it may replace the last one."""
        messages = self.messages
        return messages[: last_user(messages)] if replace else messages

    @property
    def unsaved(self):
        """How many messages are to be saved and are not."""
        return len(self._unsaved) if self.saves else 0

    def add(self, messages, replace=False, **header):
        """Add ``messages``, or put them in the place of the last exchange, and save them.

        :param header: what the header of the conversation says from now on.
        Raises LlamaCppError when they cannot be saved; the next messages bring them along.
        """
        if replace and self._unsaved:
            del self._unsaved[last_user(self._unsaved) :]
        elif replace:
            self._replaces = True
        self._unsaved += map(prepared, messages)
        self._header.update(header)
        self.save()

    def told(self):
        """The conversation in a line."""
        return f"{self.conversation.id}: {self.conversation.title or '-'} ({len(self.messages)} messages)"

    def suggest_title(self, prompt):
        """Name a new conversation after its first ``prompt``, unless it has a title."""
        if not self.messages and not self.conversation.title:
            self._header["title"] = title_of([{"role": "user", "content": prompt}])

    def keep(self, title=None):
        """Save the conversation from now on, with this ``title`` if there is one."""
        self.saves = True
        if title:
            self._header["title"] = title
        self.save()

    def save(self):
        """Save what is not saved. Raises LlamaCppError when that fails."""
        if not self.saves:
            return
        header = {key: value for key, value in self._header.items() if self.conversation.header.get(key) != value}
        if header:
            self.conversation.update(**header)
        if self._unsaved:
            save = self.conversation.replace_last_exchange if self._replaces else self.conversation.append
            save(self._unsaved)
            self._unsaved, self._replaces = [], False

    def leave(self):
        """Try to save for the last time. Raises LlamaCppError, which says how much is lost."""
        try:
            self.save()
        except LlamaCppError as error:
            if not self.unsaved:
                raise
            raise LlamaCppError(f"{self.unsaved} messages were not saved: {error}") from error
