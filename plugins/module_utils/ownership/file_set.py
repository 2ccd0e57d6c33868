# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Directories, files and whole trees of files that are kept as they are wanted; only what differs is touched."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import subprocess
import tempfile
from dataclasses import dataclass

from ..base.errors import LlamaCppError, in_words
from ..base.files import make_directories, open_file, why_not_own, write_atomically
from .block import Block
from .trees import is_source

#: What Python leaves behind when it imports from a tree.
CACHE = "__pycache__"

#: What a directory and a file get that nothing else is said of.
DIRECTORY_MODE, FILE_MODE = "u+rwx", "0644"


@dataclass(frozen=True)
class Wanted:
    """What a file is to be."""

    content: bytes
    mode: int = 0o644
    #: A command that ends with 0 for a good file; the path of the file is put behind its words.
    validate: tuple = ()


@dataclass(frozen=True)
class Difference:
    """A file that is not as wanted. None for ``before`` or ``after``: there is none, or there is to be none."""

    path: str
    before: bytes | None
    after: Wanted | None
    mode_before: int | None = None


def tree(directory, texts):
    """The files of a tree: absolute path -> :class:`Wanted`, from relative path -> text."""
    return {os.path.join(directory, path): Wanted(text.encode()) for path, text in texts.items()}


def differences(wanted, trees=()):
    """Every :class:`Difference` between ``wanted`` (path -> :class:`Wanted`) and what is there, sorted by path.

    :param trees: directories in which no other file of ours is wanted. What is not ours (ownership/trees.py) stays.
    :raises LlamaCppError: something that is no file stands under the name of one, or a link under that of a tree.
    """
    for directory in filter(os.path.islink, trees):
        raise LlamaCppError(
            f"{directory} is a link. What it leads to was not touched. Move it away, then run this again."
        )
    found = {path for directory in trees for path in _files(directory)}
    changes = [_difference(path, wanted.get(path)) for path in sorted(found | set(wanted))]
    return [change for change in changes if change]


def apply(changes, trees=()):
    """Make the changes that :func:`differences` returned. Each file is replaced in one step, after its validation.

    :raises LlamaCppError: a file is not valid, or cannot be written; those before it are in place.
    """
    for change in changes:
        try:
            if change.after is None:
                os.unlink(change.path)
                if any(change.path.startswith(directory + os.sep) for directory in trees):
                    with contextlib.suppress(OSError):  # not empty
                        os.rmdir(os.path.dirname(change.path))
                continue
            make_directories(os.path.dirname(change.path))
            _validate(change)
            if change.before == change.after.content:
                os.chmod(change.path, change.after.mode)
            else:
                write_atomically(change.path, change.after.content, change.after.mode)
        except OSError as error:
            raise LlamaCppError(in_words(error, "cannot be written", change.path)) from error


def is_in_place(expected, manifest):
    """Whether nothing is to be done for a file set, told without the contents of its files.

    :param expected: ``directories`` (path, mode, kind), ``files`` (path -> sha256, mode, kind), ``trees`` (directories
        in which no other file of ours is wanted), ``blocks`` (path -> items), ``keys`` and ``claims``, as the module
        file_set takes them.
    :param manifest: the Manifest, in which all of that has to be noted.
    """
    files, trees = expected["files"], expected["trees"]
    kinds = {item["path"]: item["kind"] for item in expected["directories"]}
    kinds.update(dict.fromkeys(trees, "tree"))
    kinds.update(block_claims(expected["blocks"]))
    kinds.update((path, file["kind"]) for path, file in files.items() if not _is_below(path, trees))
    return (
        not manifest.lacks({**kinds, **expected["claims"]})
        and all(_directory_holds(**item) for item in expected["directories"])
        and not missing_keys(expected["keys"])
        and all(Block(path, items).is_in_place for path, items in expected["blocks"].items())
        and not any(map(os.path.islink, trees))
        and all(path in files for directory in trees for path in _files(directory))
        and all(_file_holds(path, file["sha256"], file["mode"]) for path, file in files.items())
    )


def block_claims(blocks):
    """What of ``blocks``, path -> items, is noted in the manifest."""
    return {path: "block" for path, items in blocks.items() if items}


def with_blocks(wanted, blocks):
    """``wanted`` and the files in which ``blocks``, path -> items, are to be.

    None stands for a file in which nothing else is. Raises LlamaCppError where there is no room for them.
    """
    found = dict(wanted)
    for path, items in blocks.items():
        try:
            block = Block(path, items)
        except LlamaCppError as error:
            raise LlamaCppError(f"{path} {error}. Nothing was changed there.") from None
        if not block.is_in_place:
            found[block.path] = None if block.text is None else Wanted(block.text.encode(), block.mode)
    return found


def _is_below(path, directories):
    return any(path.startswith(directory + os.sep) for directory in directories)


def _directory_holds(path, mode, kind):
    if not os.path.isdir(path) or (kind == "tree" and why_not_own(path)):
        return False
    found = stat.S_IMODE(os.stat(path).st_mode)
    return found & 0o700 == 0o700 if mode == DIRECTORY_MODE else f"{found:04o}" == mode


def _file_holds(path, sha256, mode):
    try:
        with open_file(path) as stream:
            found = f"{stat.S_IMODE(os.fstat(stream.fileno()).st_mode):04o}"
            return found == mode and hashlib.sha256(stream.read()).hexdigest() == sha256
    except OSError:
        return False


def missing_keys(paths):
    """Those of ``paths`` that have no file yet. A key that is there stays, whatever is in it."""
    return [path for path in paths if not os.path.lexists(path)]


def _files(directory):
    for parent, directories, files in os.walk(directory):
        directories[:] = [name for name in directories if name != CACHE]
        yield from filter(is_source, (os.path.join(parent, name) for name in files))


def _difference(path, wanted):
    try:
        with open_file(path) as stream:
            before, mode = stream.read(), os.fstat(stream.fileno()).st_mode & 0o7777
    except FileNotFoundError:
        before, mode = None, None
    except OSError as error:
        raise LlamaCppError(in_words(error, "cannot be replaced", path)) from error
    same = wanted is not None and before == wanted.content and mode == wanted.mode
    return None if same else Difference(path, before, wanted, mode)


def _validate(change):
    """Refuse content that its own interpreter does not understand, while the old file still stands."""
    command = change.after.validate
    if not command:
        return
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(change.path)) as trial:
        trial.write(change.after.content)
        trial.flush()
        done = subprocess.run([*command, trial.name], capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().replace(trial.name, change.path)
        raise LlamaCppError(f"{change.path} would not be valid and was left as it was: {said}")
