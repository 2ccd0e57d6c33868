# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes what an archive holds below one directory, and nothing anywhere else.

The names and links in an archive are its maker's words. A name that looks harmless leads outside when a link of the
same archive lies on its way, so every place is looked at where it is: on the disk. tarfile's own filters do this too,
but not every Python 3.9 has them.
"""

from __future__ import annotations

import os
import stat

from ..base.errors import LlamaCppError
from ..base.files import make_directories

NOT_OURS = "so it was not unpacked"


def printable(name):
    """A name out of an archive as it may be printed: no line breaks, nothing that is no text."""
    return name.encode("unicode_escape", "backslashreplace").decode()


def parts_of(name):
    """The parts of a name in an archive (``a/b``, ``./a/b``, ``a/``); None for one that leads outside, or is none."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return None if name.startswith("/") or ".." in parts or "\0" in name else parts


class FileTree:
    """An empty directory ``root`` that the content of the archive ``source`` (its path, for messages) is written to.

    Nothing is written through a link or in place of something, and modes are 0755 and 0644 whatever the archive and the
    umask say. After the last member :meth:`require_closed` has to be asked. All methods raise LlamaCppError for what is
    refused, and OSError.
    """

    def __init__(self, root, source):
        self._root, self._source = os.path.realpath(root), source
        self._directories, self._links = {self._root}, []

    def directory(self, name):
        """Make the directory ``name``; it may be there."""
        place = self._root
        for part in self._parts(name):
            place = self._enter(os.path.join(place, part), name)

    def file(self, name, chunks, executable=False, changed=None):
        """Write ``chunks`` (bytes) to the new file ``name`` and return its path.

        ``changed`` is its time of last change; a compilation that goes on asks for it.
        """
        path = self._place(name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(self._new(os.open, name, path, flags, 0o600), "wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
            os.fchmod(stream.fileno(), 0o755 if executable else 0o644)
        if changed is not None:
            os.utime(path, (changed, changed))
        return path

    def symbolic_link(self, name, target):
        path = self._place(name)
        self._new(os.symlink, name, target, path)
        self._links.append(path)

    def hard_link(self, name, target):
        """Give the file ``target`` of the same archive, which is there, another name."""
        source = os.path.join(self._root, *self._parts(target))
        inside = os.path.realpath(source) == source and os.path.lexists(source)
        if not inside or not stat.S_ISREG(os.lstat(source).st_mode):
            raise self._outside(f"{name} -> {target}")
        self._new(os.link, name, source, self._place(name))

    def require_closed(self, inside=""):
        """See that the directory ``inside`` the root is one, and that no link in it leads out of it.

        It is given another name later, so a link must not leave it on its way either, to come back by the name of now.
        """
        top = os.path.normpath(os.path.join(self._root, inside))
        if os.path.realpath(top) != top:
            raise self._outside(inside)
        for path in self._links:
            if path.startswith(top + os.sep) and not self._stays(path, top):
                raise self._outside(f"{os.path.relpath(path, self._root)} -> {os.readlink(path)}")

    @staticmethod
    def _stays(path, top):
        """Whether the link ``path``, in real directories below ``top``, goes up first, not too far, and then down only:
        behind the name of another link, to go up would lead from where that one leads to."""
        target = os.readlink(path)
        steps = [step for step in target.split(os.sep) if step not in ("", os.curdir)]
        up = next((at for at, step in enumerate(steps) if step != os.pardir), len(steps))
        depth = path[len(top) :].count(os.sep) - 1
        return not os.path.isabs(target) and up <= depth and os.pardir not in steps[up:]

    def refused(self, what):
        """The error for an archive that ``what`` (``holds a device``) is the matter with."""
        return LlamaCppError(f"{self._source} {what}, {NOT_OURS}. Nothing was changed.")

    def _outside(self, name):
        return self.refused(f"would put something outside of its directory ({printable(name)})")

    def _parts(self, name):
        parts = parts_of(name)
        if parts is None:
            raise self._outside(name)
        return parts

    def _place(self, name):
        """Where ``name`` belongs, in a directory that is there."""
        parts = self._parts(name)
        if not parts:
            raise self._outside(name)
        parent = self._root
        for part in parts[:-1]:
            parent = self._enter(os.path.join(parent, part), name)
        return os.path.join(parent, parts[-1])

    def _enter(self, path, name):
        if path not in self._directories:
            # It may be there: two names of one directory, where the file system does not tell them apart.
            if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
                raise self._outside(name)
            make_directories(path)
            self._directories.add(path)
        return path

    def _new(self, make, name, *arguments):
        try:
            return make(*arguments)
        except FileExistsError:
            raise self.refused(f"holds {printable(name)} twice") from None
