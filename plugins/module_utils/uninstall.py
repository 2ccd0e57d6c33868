# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Removes what the manifest says that the collection made, and nothing else.

A look first decides about every path, so that check mode tells exactly what a real run does. Whatever was removed
before an interruption is simply not there any more for the next run: the manifest goes last.
"""

from __future__ import annotations

import os
import re
import shutil
import stat

from .base.errors import LlamaCppError, in_words
from .base.files import exclusive, why_not_own, write_atomically
from .base.rotating_log import numbered, rotated_numbers
from .models.verification import UNFINISHED, VerificationRecord
from .ownership import trees
from .ownership.block import Block
from .ownership.manifest import parents_of, staging_of
from .ownership.marker import is_ours
from .service.description import open_service

#: What tempfile adds to ".<name>." for the file beside the one that it is going to replace (files.write_atomically).
#: Not without a digit: then it may as well be a word of somebody's, such as "original".
TEMPORARY = "(?=[a-z_]*[0-9])[a-z0-9_]{8}"

FOREIGN = "was not made by this collection"
UNMARKED = "was made somebody else's: the mark is gone"


class Uninstall:
    """What removing an installation means now; :meth:`run` does it.

    ``services``  those that are to be taken out, as service/manager.py opens them
    ``daemons``   plists of the domain system, which only root takes out, and not by what a user's manifest says: before
    ``to_remove`` the paths that are to be removed, in this order
    ``cleared``   files of others that are to lose what the collection put into them -> the text that stays
    ``kept``      models that stay because they may be used by whatever comes next
    ``left``      path -> why it is not removed although it is named in, or lies below, what the collection made

    :param manifest: a :class:`manifest.Manifest`.
    :param purge_models: remove the models that the collection put there, too.
    """

    def __init__(self, manifest, purge_models=False):
        self._manifest = manifest
        self._purge_models = purge_models
        self._made = manifest.entries()
        self._protected = set()
        self.services, self.daemons, self.to_remove, self.kept, self.left, self.cleared = [], [], [], [], {}, {}
        # The watchdog before the server that it watches; the models before the directory of their records.
        paths = [*sorted(self._of_kind("service"), reverse=True), *self._of_kind("model"), *sorted(self._made)]
        for path in dict.fromkeys(paths):
            entry = self._made[path]
            PLANS[entry["kind"]](self, path, entry)
        self._staying = {*self.kept, *(path for path in self._of_kind("tree") if path in self._protected)}
        if not self._staying:
            self._add(manifest.path, manifest.lock)
            self._remove_files(*_temporaries(manifest.path))
        for path in sorted(self._of_kind("directory"), key=_depth, reverse=True):
            self._plan_directory(path)
        # A play that was killed while it made or removed the very first directory.
        above = parents_of(manifest.path)
        staged = filter(os.path.lexists, map(staging_of, above))
        self._staged = [path for path in staged if why_not_own(path) is None]
        self.to_remove += self._staged

    def is_needed(self):
        return bool(self.services or self.to_remove or self.cleared)

    def run(self):
        """Take the services out, then remove everything. Raises LlamaCppError; the next run goes on from there."""
        try:
            if not os.path.lexists(self._manifest.path):
                self._remove(self.to_remove)
                return
            with exclusive(self._manifest.lock):
                for service in self.services:
                    service.clear()
                for path, text in self.cleared.items():
                    write_atomically(path, text, stat.S_IMODE(os.stat(path).st_mode))
                self._remove_all()
        except OSError as error:
            raise LlamaCppError(
                f"{in_words(error, 'cannot be removed')} What is left is still in {self._manifest.path}."
            ) from error

    def _remove_all(self):
        home = [path for path in self.to_remove if path in parents_of(self._manifest.path) and path not in self._staged]
        last = {self._manifest.path, self._manifest.lock, *home}
        self._remove(path for path in self.to_remove if path not in last)
        if self._staying:
            self._manifest.write(self._remaining_entries())
            return
        if home:  # in one step, or there would be a moment with a directory that is not noted
            top = min(home, key=_depth)
            os.rename(top, staging_of(top))
            self._remove([staging_of(top)])
        else:
            self._remove([self._manifest.path, self._manifest.lock])

    def _remove(self, paths):
        for path in paths:
            if not os.path.lexists(path):
                continue
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
            elif path in self._made and self._made[path]["kind"] == "directory":
                os.rmdir(path)
            else:
                shutil.rmtree(path)

    # -- planning --------------------------------------------------------------------------------------------------

    def plan_service(self, path, entry):
        if entry.get("domain") == "system":
            if is_ours(path):
                self.daemons.append(path)
            elif os.path.lexists(path):
                self.left[path] = UNMARKED
            return
        service = open_service({**entry, "definition": path})
        if service.status()["installed"] or service.active():
            self.services.append(service)
        self.plan_marked(path, entry)
        self._add(*service.definition.beside())

    def plan_marked(self, path, _entry):
        self._judge(path, not os.path.islink(path) and is_ours(path), UNMARKED)

    def plan_file(self, path, _entry):
        self._judge(path, not os.path.islink(path) and os.path.isfile(path), "is no file any more")

    def plan_link(self, path, _entry):
        self._judge(path, os.path.islink(path), "is no link any more")

    def plan_block(self, path, _entry):
        """What else is in the file stays, and the file with it."""
        try:
            block = Block(path, "")
        except LlamaCppError as error:
            self.left[path] = str(error)
            return
        if block.is_in_place:
            return
        if block.text is None:
            self._add(block.path)
        else:
            self.cleared[block.path] = block.text

    def plan_tree(self, path, _entry):
        """It goes as a whole, or without what somebody else put into it."""
        if path in self._protected:
            return
        there = not os.path.islink(path) and os.path.isdir(path)
        foreign = trees.foreign(path) if there else []
        if foreign:
            self._add(*trees.removable(path, foreign))
            self.left.update(dict.fromkeys(foreign, FOREIGN))
        else:
            self._judge(path, there, "is no directory any more")

    def plan_log(self, path, entry):
        self.plan_file(path, entry)
        if os.path.isdir(os.path.dirname(path)):
            self._remove_files(*(numbered(path, number) for number in rotated_numbers(path)))

    def plan_model(self, path, _entry):
        """A model stays with its record unless it is to go; what is not ours stays without one."""
        record = VerificationRecord(path)
        if record.is_ours() and not self._purge_models:
            self.kept.append(path)
            self._protected.add(record.directory)
            return
        if os.path.lexists(path):
            self._judge(path, record.is_ours(), "was not put there by this collection, or was changed since")
        self._remove_files(*(path + suffix for suffix in UNFINISHED), *record.files)

    def plan_later(self, path, _entry):
        """Directories are planned last, when it is known what goes."""

    def _judge(self, path, goes, why_not):
        if goes:
            self._add(path)
        elif os.path.lexists(path):
            self.left[path] = why_not
        self._remove_files(*_temporaries(path))

    def _remove_files(self, *paths):
        """What is known by its name alone: no directory of that name, and no file of somebody else."""
        for path in filter(os.path.lexists, paths):
            why = "is a directory" if os.path.isdir(path) else why_not_own(path)
            if why:
                self.left[path] = why
            else:
                self._add(path)

    def _add(self, *paths):
        self.to_remove += [path for path in paths if os.path.lexists(path) and path not in self.to_remove]

    def _plan_directory(self, path):
        """A directory goes when all that is in it goes."""
        if os.path.islink(path) or not os.path.isdir(path):
            return
        going = set(self.to_remove)
        entries = (os.path.join(path, name) for name in os.listdir(path))
        staying = [entry for entry in entries if entry not in going]
        if not staying:
            self._add(path)
        for entry in staying:
            if not any(known == entry or known.startswith(entry + os.sep) for known in self._known()):
                self.left[entry] = FOREIGN

    def _known(self):
        return {*self.left, *self._staying, *((self._manifest.path, self._manifest.lock) if self._staying else ())}

    def _remaining_entries(self):
        """The entries that outlive this with the models that stay: the directories that are still in use, too."""
        still = {*self._staying, *self._of_kind("directory")} - set(self.to_remove)
        return {path: self._made[path] for path in still if os.path.lexists(path)}

    def _of_kind(self, kind):
        return [path for path, entry in self._made.items() if entry["kind"] == kind]


def _depth(path):
    return path.count(os.sep)


def _temporaries(path):
    """What a killed process left beside ``path`` of a file that was to replace it."""
    directory, name = os.path.split(path)
    pattern = re.compile(re.escape("." + name + ".") + TEMPORARY)
    try:
        return [os.path.join(directory, entry) for entry in os.listdir(directory) if pattern.fullmatch(entry)]
    except OSError:
        return []


#: Kind of an entry -> what plans its removal.
PLANS = {
    "service": Uninstall.plan_service,
    "marked": Uninstall.plan_marked,
    "file": Uninstall.plan_file,
    "link": Uninstall.plan_link,
    "block": Uninstall.plan_block,
    "tree": Uninstall.plan_tree,
    "log": Uninstall.plan_log,
    "model": Uninstall.plan_model,
    "directory": Uninstall.plan_later,
}
