# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the collection made on a host, written down before it is made, so that nothing is guessed when it is removed.

``manifest.json`` in the installation directory holds one entry per path, and ``at``, its own, by which a copy of it is
known. An entry's ``kind`` says what may be removed there:

``directory``  the directory, once nothing is left in it
``tree``       the directory with all in it that is ours, as the tree itself tells (ownership/trees.py)
``file``       the file
``marked``     the file as long as it bears the collection's mark; without it somebody else has made it his own
``link``       the symbolic link
``block``      the items of ours in a list of another program (ownership/block.py)
``log``        the file and what was rotated away from it
``model``      what its verification record says of the file (models/verification.py)
``service``    a marked file that a service manager reads, after the service; the entry tells the rest as
               service/manager.py wants it

What stood in a place before stays whose it was: a directory is not noted then, and anything else
refused (ownership/taken.py). Marks and records tell that by themselves.
"""

from __future__ import annotations

import json
import os
import shutil

from ..base.errors import LlamaCppError, in_words
from ..base.files import exclusive, make_directories, read_json, require_private, write_json_atomically
from ..base.privileges import refuse_foreign
from . import taken

LOCK_SUFFIX = ".lock"

KINDS = ("directory", "tree", "file", "marked", "link", "block", "log", "model", "service")

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

    def _read(self):
        if self.path is None:
            return {}
        refuse_foreign(os.path.dirname(self.path))
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
        if found is None:
            return {}
        at = str(found.get("at", self.path))
        if at != self.path and not (os.path.exists(at) and os.path.samefile(at, self.path)):
            raise LlamaCppError(
                f"{self.path} is of the installation in {os.path.dirname(at)}, from where it was copied or moved. "
                "Nothing was changed. Move that directory back, or remove a copy by hand."
            )
        for path, entry in found["made"].items():
            self._require_usable(path, entry)
        return found

    def _require_usable(self, path, entry):
        """Raise LlamaCppError for an entry that no version has made, or a later one: what it means is not known."""
        kind = entry.get("kind") if isinstance(entry, dict) else None
        if kind not in KINDS or not os.path.isabs(path) or os.path.normpath(path) != path:
            raise LlamaCppError(
                f'{self.path} notes "{path}" as {json.dumps(kind)}, which this version does not understand. Nothing '
                "was changed. Use the version that made it (llm-manager --version), or put the file back from a backup."
            )

    def refuse_taken(self, claims):
        """Raise LlamaCppError if something that is not ours stands where one of ``claims``, path -> kind, is to be."""
        made = self.entries()
        taken.refuse(claims, lambda path: path in made or _in_tree(path, made), self.path)

    def lacks(self, claims):
        """Whether :meth:`note` would note something new of ``claims``."""
        return self.path is not None and bool(self._news(_entries(claims), self.entries()))

    def note(self, claims):
        """Note what is about to be made: path -> kind, or a dict with ``kind`` and more; parents come by themselves."""
        if self.path is None:
            return
        claims = _entries(claims)
        self.refuse_taken({path: entry["kind"] for path, entry in claims.items()})
        if not self._news(claims, self.entries()):
            return
        try:
            self._make_home()
            with exclusive(self.lock):
                made = self.entries()
                self.write({**made, **self._news(claims, made)})
        except OSError as error:
            raise LlamaCppError(in_words(error, "cannot be made", self.path)) from error

    def _document(self, entries):
        words = "What macos_setup.llm made here; playbooks/uninstall.yml removes it."
        return {"_": words, "at": self.path, "made": entries}

    def write(self, entries):
        """Let ``entries`` be all that is noted of what was made."""
        write_json_atomically(self.path, self._document(entries))

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
            write_json_atomically(os.path.join(home, os.path.basename(self.path)), self._document(made))
            os.rename(staging, top)
        except OSError:
            if _missing(self.path):  # otherwise another play was faster
                raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _entries(claims):
    return {path: {"kind": entry} if isinstance(entry, str) else entry for path, entry in claims.items()}


def staging_of(directory):
    """Where ``directory`` is made before it gets its name."""
    parent, name = os.path.split(directory)
    return os.path.join(parent, STAGING.format(name))


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
