# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the collection made on a host, written down before it is made, so that nothing is guessed when it is removed.

``manifest.json`` in the installation directory holds one entry per path. Its ``kind`` says what may be removed there:

``directory``  the directory, once nothing is left in it
``tree``       the directory with all in it that is ours, as the tree itself tells (trees.py)
``file``       the file
``marked``     the file as long as it bears the collection's mark; without it somebody else has made it his own
``link``       the symbolic link
``log``        the file and what was rotated away from it
``model``      what its stamp says of the file (stamps.py)
``service``    a marked file that a service manager reads, after the service; the entry tells the rest as service.py
               wants it

What stood in a place before stays whose it was: a directory is not noted then, and anything else refused (taken.py).
Marks and stamps tell that by themselves.

Of a setting of the host itself, which is changed only when its owner asks (mac_settings.py), the value before is noted.
"""

from __future__ import annotations

import os
import shutil

from . import taken
from .errors import LlamaCppError
from .files import exclusive, make_directories, read_json, require_private, write_json_atomically

LOCK_SUFFIX = ".lock"

#: The name under which the installation directory is made and, empty, removed: both in one rename.
STAGING = ".{}.macos_setup.llm"


class Manifest:
    """The manifest in the file ``path``; with None, one that nothing is noted in."""

    def __init__(self, path):
        self.path = path
        self.lock = path and path + LOCK_SUFFIX

    def entries(self):
        """Path -> entry, a dict with ``kind``; empty when nothing is installed."""
        return self._read().get("made", {})

    def settings(self):
        """Name -> value of each setting of the host before it was changed."""
        return self._read().get("before", {})

    def _read(self):
        if self.path is None:
            return {}
        found = read_json(self.path)
        if found is None and os.path.lexists(self.path):
            raise LlamaCppError(
                f"{self.path} is damaged, so it is not known what this collection made here. Nothing was changed. "
                "Put it back from a backup. Without one, move it away and run the play once more: it notes what bears "
                "the collection's mark, and names the rest."
            )
        if found is not None and not (isinstance(found, dict) and isinstance(found.get("made"), dict)):
            raise LlamaCppError(
                f"{self.path} is not a manifest of this collection, so {os.path.dirname(self.path)} belongs to "
                "something else. Nothing was changed. Choose another directory (llm_settings.install_dir), then run "
                "the play again."
            )
        return found or {}

    def refuse_taken(self, claims):
        """Raise LlamaCppError if something that is not ours stands where one of ``claims``, path -> kind, is to be."""
        made = self.entries()
        taken.refuse(claims, lambda path: path in made or _in_tree(path, made), self.path)

    def note(self, claims):
        """Note what is about to be made: path -> kind, or a dict with ``kind`` and more; parents come by themselves."""
        if self.path is None:
            return
        claims = {path: {"kind": entry} if isinstance(entry, str) else entry for path, entry in claims.items()}
        self.refuse_taken({path: entry["kind"] for path, entry in claims.items()})
        if not self._news(claims, self.entries()):
            return
        try:
            self._make_home()
            with exclusive(self.lock):
                self._own(self.lock)
                made = self.entries()
                self.write({**made, **self._news(claims, made)})
        except OSError as error:
            raise LlamaCppError(f"{error.filename or self.path} cannot be made: {error.strerror}.") from error

    def note_setting(self, name, before):
        """Note what a setting of the host is ``before`` it is changed; an earlier note of it stays."""
        self._write_settings(lambda settings: {name: before, **settings})

    def forget_setting(self, name):
        """Take back the note of a setting that is the owner's again."""
        self._write_settings(lambda settings: {key: value for key, value in settings.items() if key != name})

    def _write_settings(self, changed):
        if self.path is None:
            return
        try:
            with exclusive(self.lock):
                self._own(self.lock)
                self._write(self.entries(), changed(self.settings()))
        except OSError as error:
            raise LlamaCppError(f"{error.filename or self.path} cannot be written: {error.strerror}.") from error

    def write(self, entries):
        """Let ``entries`` be all that is noted of what was made."""
        self._write(entries, self.settings())

    def _write(self, entries, settings):
        write_json_atomically(self.path, _document(entries, settings))
        self._own(self.path)

    def _news(self, claims, made):
        """The entries that ``claims`` add to, or change in, those that were ``made``."""
        news = {}
        for path, entry in claims.items():
            if made.get(path) == entry or _in_tree(path, made):
                continue
            if entry["kind"] == "directory" and path not in made and os.path.lexists(path):
                continue
            news.update({parent: {"kind": "directory"} for parent in _missing(path) if parent not in made})
            news[path] = entry
        return news

    def _make_home(self):
        """Make the manifest's directory together with a manifest that tells of it, in one step."""
        missing = _missing(self.path)
        if not missing:
            return
        top = missing[-1]
        staging = staging_of(top)
        home = os.path.join(staging, os.path.relpath(os.path.dirname(self.path), top))
        require_private(staging)
        try:
            make_directories(home)
            require_private(staging)  # somebody else may have been faster
            made = {directory: {"kind": "directory"} for directory in missing}
            write_json_atomically(os.path.join(home, os.path.basename(self.path)), _document(made))
            os.rename(staging, top)
        except OSError:
            if _missing(self.path):  # otherwise another play was faster
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _own(self, path):
        """A file that root writes into a user's directory is the user's: the next play may run without root."""
        if os.geteuid() == 0:
            status = os.stat(os.path.dirname(path))
            os.chown(path, status.st_uid, status.st_gid)


def staging_of(directory):
    """Where ``directory`` is made before it gets its name."""
    parent, name = os.path.split(directory)
    return os.path.join(parent, STAGING.format(name))


def _document(entries, settings=None):
    document = {"_": "What macos_setup.llm made here; playbooks/uninstall.yml removes it.", "made": entries}
    return {**document, "before": settings} if settings else document


def _in_tree(path, made):
    return any(made.get(parent, {}).get("kind") == "tree" for parent in parents_of(path))


def parents_of(path):
    """The directories above ``path``, the nearest first, without the root."""
    parents = []
    while os.path.dirname(path) != path:
        path = os.path.dirname(path)
        parents.append(path)
    return parents[:-1]


def _missing(path):
    """The directories above ``path`` that are not there, the nearest first."""
    return [parent for parent in parents_of(path) if not os.path.lexists(parent)]
