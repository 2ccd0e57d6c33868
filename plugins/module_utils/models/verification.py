# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is known about a model file that was verified once: no later run has to read it again, and it is known as ours.

The directory of the models has a directory ``.llama_cpp/``: in it, ``<filename>.json`` is the verification record of a
file and ``<filename>.lock`` its lock. A record is valid only while size, time of last change and inode of the file are
those that it holds.
"""

from __future__ import annotations

import contextlib
import os

from ..base.errors import LlamaCppError
from ..base.files import IDENTITY, identity, make_directories, read_json, set_mode, why_not_own, write_json_atomically
from ..base.json_form import OneOf

DIRECTORY = ".llama_cpp"

#: What an unfinished installation leaves next to the file: what there is of it, where that came from (net/download.py),
#: and the wheel that it is unpacked from (models/package.py).
PART_SUFFIX = ".part"
NOTE_SUFFIX = PART_SUFFIX + ".json"
WHEEL_SUFFIX = PART_SUFFIX + ".whl"
UNFINISHED = (PART_SUFFIX, NOTE_SUFFIX, WHEEL_SUFFIX)

FORM = {
    **dict.fromkeys(("sha256", "revision"), str),
    "origin": OneOf((str, bool)),
    **dict.fromkeys(IDENTITY, int),
    "gguf": {},
}


class VerificationRecord:
    """The record of the file ``path``; a fact that it does not hold reads as None.

    ``sha256``      of the content; None when it was not needed yet
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
        """Whether the file still is the one that was verified."""
        try:
            return all(self[fact] == value for fact, value in identity(self._path).items())
        except OSError:
            return False

    @property
    def valid_sha256(self):
        """The SHA-256 of the file as it is; None where the record does not tell it."""
        return self["sha256"] if self.holds() else None

    def is_ours(self):
        """Whether the file, or the link, in the place is what this collection put there."""
        is_our_link = os.path.islink(self._path) and os.readlink(self._path) == self["origin"]
        return bool(self["placed"]) and (self.holds() or is_our_link)

    def write(self, **facts):
        """Record the file as it is now; facts that are not given stay as they were."""
        self._facts.update(facts, **identity(self._path))
        write_json_atomically(self._file, self._facts)

    def _why_untrusted(self):
        """Why the record proves nothing: in a directory that several users share, each of them can write one."""
        return why_not_own(self.directory) or why_not_own(self._file)

    def make_directory(self):
        """Make the directory of the records. Raises LlamaCppError where another user has made it."""
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
        """Forget the file; the directory goes with its last record."""
        for path in self.files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(self.directory)
        self._facts = {}


def known_files(directory):
    """The paths in ``directory`` that have a verification record or the note of an unfinished download, sorted."""
    records = (name[: -len(".json")] for name in _names(os.path.join(directory, DIRECTORY)) if name.endswith(".json"))
    notes = (name for name in _names(directory) if name.endswith(NOTE_SUFFIX))
    begun = (name[: -len(NOTE_SUFFIX)] for name in notes if _is_note(os.path.join(directory, name)))
    return sorted({os.path.join(os.path.normpath(directory), name) for name in (*records, *begun)})


def _is_note(path):
    note = None if why_not_own(path) else read_json(path)
    return isinstance(note, dict) and {"url", "validator", "size", "sha256"} <= set(note)


def _names(directory):
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
