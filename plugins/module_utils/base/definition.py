# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The file that tells a service manager what to run, replaced so that the last good one is never lost."""

from __future__ import annotations

import contextlib
import os

from .errors import LlamaCppError, in_words
from .files import make_directories, read_file, write_atomically
from .text import difference


class Definition:
    """A plist or a supervisord.conf at its final place.

    A change has two halves, so that the service need not be stopped before it is certain that the new content can be
    written: :meth:`prepare` writes it beside, :meth:`commit` renames it into place. The content in use until then is
    kept as ``.<name>.previous`` until :meth:`accept`: a play killed in between finds it at the next run, and
    :meth:`restore` can always go back to what worked. These names start with a dot and do not end in ``.plist``, so no
    manager takes them for jobs.

    :param owner: (uid, gid) that the file must have, or None for that of the process that writes.
    """

    def __init__(self, path, mode=0o644, owner=None):
        self.path = path
        self.mode = mode
        self.owner = owner
        self.previous = self._beside("previous")
        self._next = self._beside("next")
        self._created = False

    def _beside(self, suffix):
        return os.path.join(os.path.dirname(self.path), ".%s.%s" % (os.path.basename(self.path), suffix))

    def content(self):
        """What the file holds, as text; None when there is no file."""
        try:
            return read_file(self.path).decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LlamaCppError("%s Nothing was changed." % in_words(error, "cannot be read", self.path)) from None

    def deviations(self):
        """What is wrong with owner and mode of an existing file: [(what, before, after)], at most one entry."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return []
        before = (found.st_uid, found.st_gid, found.st_mode & 0o7777)
        after = (*(self.owner or before[:2]), self.mode)
        words = "uid %d gid %d mode %04o"
        return [] if before == after else [("owner and mode of " + self.path, words % before, words % after)]

    def correct_attributes(self):
        """Give the existing file its mode and owner."""
        try:
            self._set_attributes(self.path)
        except OSError as error:
            raise self._failure("given its owner and mode", error) from None

    def prepare(self, content):
        """Write ``content`` beside the file, complete with owner and mode; the file itself is not touched."""
        try:
            make_directories(os.path.dirname(self.path))
            write_atomically(self._next, content, self.mode)
            self._set_attributes(self._next)
        except OSError as error:
            self.discard()
            raise self._failure("written", error) from None

    def commit(self):
        """Put the prepared content in place at once; the last accepted content stays beside it."""
        try:
            self._created = not os.path.exists(self.path)
            if not self._created and not self.pending():
                os.link(self.path, self.previous)
            os.replace(self._next, self.path)
        except OSError as error:
            raise self._failure("replaced", error) from None

    def discard(self):
        """Forget prepared content that was not put in place."""
        _remove(self._next)

    def pending(self):
        """Whether a replaced definition has not been accepted yet."""
        return os.path.exists(self.previous)

    def accept(self):
        """The service runs with what is in place: forget the previous content."""
        _remove(self.previous)

    def restore(self):
        """Go back to the content before :meth:`commit`. False when there was none: then no file is left."""
        if self.pending():
            os.replace(self.previous, self.path)
            _remove(self.previous)  # rename leaves both names when they are one file
        elif self._created:
            _remove(self.path)
        return os.path.exists(self.path)

    def beside(self):
        """What a change that was not completed leaves beside the file."""
        return (self.previous, self._next)

    def remove(self):
        """Leave no trace of the definition."""
        for path in (self.path, *self.beside()):
            _remove(path)

    def _set_attributes(self, path):
        if self.owner is not None:
            os.chown(path, *self.owner)
        os.chmod(path, self.mode)

    def _failure(self, what, error):
        return LlamaCppError(in_words(error, "cannot be " + what, self.path))

    def diff(self, after):
        """The change from what is in place to ``after`` (None: no file), in the form that ``--diff`` prints."""
        return difference(self.path, self.content() or "", after or "")


def _remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
