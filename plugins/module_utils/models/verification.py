# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is known about a model file that was verified once, so that no later run has to read it again.

Beside the models lies ``.llama_cpp/``; in it ``<filename>.json`` is the stamp of a file and ``<filename>.lock``
its lock. A stamp speaks for the file only while size, time of last change and inode are those it recorded.
"""

from __future__ import annotations

import contextlib
import os

from ..base.errors import LlamaCppError
from ..base.files import IDENTITY, identity, make_directories, read_json, set_mode, why_not_own, write_json_atomically
from ..base.json_form import OneOf

DIRECTORY = ".llama_cpp"

FORM = {
    **dict.fromkeys(("sha256", "revision"), str),
    "origin": OneOf((str, bool)),
    **dict.fromkeys(IDENTITY, int),
    "gguf": {},
}


class Stamp:
    """The stamp of the file ``path``; a fact that it does not hold reads as None.

    ``sha256``      of the content; None when nobody had a use for it yet
    ``origin``      address or path it came from; None for a file that was found in place
    ``revision``    the commit that Hugging Face named
    ``placed``      whether this collection put the file there
    ``gguf``        what its header says: architecture, context_length, parameters
    """

    def __init__(self, path):
        directory, name = os.path.split(path)
        self._path = path
        self.directory = os.path.join(directory, DIRECTORY)
        self._file = os.path.join(self.directory, name + ".json")
        self.lock = os.path.join(self.directory, name + ".lock")
        self.files = (self._file, self.lock)
        self._facts = (None if self._why_untrusted() else read_json(self._file, FORM)) or {}

    def __getitem__(self, fact):
        return self._facts.get(fact)

    def holds(self):
        """Whether the file still is the one that was stamped."""
        try:
            return all(self[fact] == value for fact, value in identity(self._path).items())
        except OSError:
            return False

    def is_ours(self):
        """Whether the file, or the link, in the place is what this collection put there."""
        is_our_link = os.path.islink(self._path) and os.readlink(self._path) == self["origin"]
        return bool(self["placed"]) and (self.holds() or is_our_link)

    def write(self, **facts):
        """Stamp the file as it is now; facts that are not given stay as they were."""
        self._facts.update(facts, **identity(self._path))
        write_json_atomically(self._file, self._facts)

    def _why_untrusted(self):
        """Why the stamp may not speak for the file: beside models that several users share, anybody can write one."""
        return why_not_own(self.directory) or why_not_own(self._file)

    def make_directory(self):
        """Make the directory of the stamps. Raises LlamaCppError where somebody else has made it."""
        make_directories(self.directory)
        why = why_not_own(self.directory)
        if why:
            raise LlamaCppError(
                f"{self.directory} {why}, so what it says of the models cannot be trusted. Nothing was changed. Give "
                "this installation models of its own (llm_settings.models_dir), or have that directory removed."
            )
        if os.stat(self.directory).st_mode & 0o022:
            set_mode(self.directory, 0o755)

    def remove(self):
        """Forget the file; the directory goes with its last stamp."""
        for path in self.files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(self.directory)
        self._facts = {}
