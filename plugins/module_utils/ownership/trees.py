# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whose a file is that lies in a tree of ours: the directories that the manifest notes as a whole.

What fills such a directory is a program: pip, a compiler, supervisord, this collection. Not every file could be noted
before it is there, and somebody may have put a file of his own among them since. So each tree tells, by its name, what
its makers call their files and where they list them. What they do not know of stays.
"""

from __future__ import annotations

import csv
import glob
import os
import re
import shutil

from ..base.errors import LlamaCppError
from ..base.files import open_file, read_json, write_json_atomically

#: Stands in the head of every source file of the collection.
SOURCE_MARK = b"contributors to macos_setup.llm"
HEAD_BYTES = 1024

#: What systems and interpreters put anywhere.
STRAY = re.compile(r"(.*/)?(__pycache__/[^/]*\.pyc|\.DS_Store)")

#: In a Python environment: all files that were in it when it was complete; and the mark that it is.
FILES, COMPLETE = ".files.json", ".requirements.sha256"
#: What an environment has of its own beside its packages, where a version without FILES has made it.
SKELETON = re.compile(
    r"pyvenv\.cfg|\.gitignore|\.lock|CACHEDIR\.TAG|lib64|bin/(python[0-9.]*|activate[^/]*|Activate\.ps1|(de)?activate\.bat"
    r"|pydoc\.bat)|lib/[^/]*/site-packages/(_virtualenv\.(py|pth)|distutils-precedence\.pth)|\.requirements\.sha256"
)

STAMP = "stamp.json"
FINGERPRINT_DIGITS = 12  # at the end of a release's name
RELEASE = re.compile(r"\.?[^./][^/]*-[0-9a-f]{%d}" % FINGERPRINT_DIGITS)
#: What files.write_atomically and tempfile make on the way.
ON_THE_WAY = r"(\.?%s\.[a-z0-9_]{8})"

#: Of ccache, beside what it names by a hash (ccache.dev/manual: cache directory structure).
CCACHE_FILES = r"stats|CACHEDIR\.TAG|ccache\.conf"

RUN_FILES = (
    r"supervisor\.sock|supervisord\.pid|(?:llama-server|ggml-rpc-server)\.json(?:\.lock)?|watchdog\.json|draining"
)
SOCKETS_OF_HAPROXY = r"(?:admin|master|peers)\.sock"


def foreign(tree):
    """The paths in the directory ``tree`` that are not ours, sorted; a directory with nothing of ours by its top."""
    found, _any = _foreign(tree, "", _judge_of(tree))
    return sorted(os.path.join(tree, path) for path in found)


def require_ours(tree, what):
    """Raise LlamaCppError where something in ``tree``, which is about to be made anew, is not ours.

    :param what: what is about to be made, for the message.
    """
    found = foreign(tree) if os.path.isdir(tree) or os.path.islink(tree) else []
    if os.path.islink(tree):
        raise LlamaCppError(
            f"{tree} is a link, and {what} is to be made there. What it leads to was not touched. Move the link away, "
            "then run the play again."
        )
    if found:
        raise LlamaCppError(
            f"{what} is to be made anew, and among its files are some that this collection did not put there: "
            f"{shown(found)}. Nothing was changed there. Move them away, then run the play again."
        )


def shown(paths, most=10):
    """The first of ``paths``, for a message."""
    more = [f"and {len(paths) - most} more"] if len(paths) > most else []
    return ", ".join([*paths[:most], *more])


def remove(tree, staying=()):
    """Remove the directory ``tree`` with all that is in it but ``staying``, paths in it that :func:`foreign` told."""
    for path in removable(tree, staying):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def removable(tree, staying):
    """What is to be removed of ``tree`` so that ``staying`` stays: ``[tree]`` where that is nothing.

    What the tree is judged by comes last, so that an interruption leaves nothing that is ours to everybody's eyes.
    """
    if not any(path == tree or path.startswith(tree + os.sep) for path in staying):
        return [tree]
    if tree in staying:
        return []
    found = []
    for name in sorted(os.listdir(tree), key=lambda name: (name in (FILES, COMPLETE, STAMP), name)):
        found += removable(os.path.join(tree, name), staying)
    return found


def clear(tree):
    """Remove all that is ours in the directory ``tree``, and the directory if nothing else is in it."""
    if os.path.isdir(tree) and not os.path.islink(tree):
        remove(tree, foreign(tree))


def _foreign(tree, inside, is_ours):
    """Paths, relative to ``tree``, that are foreign below ``inside``; and whether anything there is ours."""
    found, any_ours = [], False
    with os.scandir(os.path.join(tree, inside)) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path = os.path.join(inside, entry.name)
        if is_ours(path) or STRAY.fullmatch(path):
            any_ours = True
        elif entry.is_dir(follow_symlinks=False):
            below, some_ours = _foreign(tree, path, is_ours)
            found += below if some_ours or not below else [path]
            any_ours = any_ours or some_ours or not below
        else:
            found.append(path)
    return found, any_ours


def is_source(path):
    """Whether a file bears the mark of the collection's source files, or is the empty one that makes a package."""
    try:
        with open_file(path) as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return False
    is_empty_package = not head and os.path.basename(path) == "__init__.py"
    return not os.path.islink(path) and (SOURCE_MARK in head or is_empty_package)


# -- what each tree says, as a function of a path relative to it ------------------------------------------------------


def _name_of(tree):
    name = os.path.basename(tree)
    return "run" if name.startswith("llama-cpp-") else name  # of a socket whose path would be too long elsewhere


def _judge_of(tree):
    name = _name_of(tree)
    if RELEASE.fullmatch(name):
        judge = _releases(os.path.dirname(tree))
        return lambda path: judge(os.path.join(name, path))
    if os.path.exists(os.path.join(tree, COMPLETE)):
        return _environment(tree)
    return JUDGES.get(name, _everything)(tree)


def _everything(_tree):
    return lambda _path: True


def _named(pattern):
    """A judge of what lies in a tree under one of these names, with all that is in it."""
    names = re.compile(f"(?:{pattern}|{ON_THE_WAY % f'(?:{pattern})'})(/.*)?")
    return lambda _tree: lambda path: bool(names.fullmatch(path))


def _sources(tree):
    return lambda path: is_source(os.path.join(tree, path))


def _environment(tree):
    """Complete, it says what is in it. Otherwise it was never finished, and is nothing that anybody uses."""
    listed = read_json(os.path.join(tree, FILES))
    if isinstance(listed, list):
        names = {FILES, COMPLETE, *map(str, listed)}
    elif os.path.exists(os.path.join(tree, COMPLETE)):
        names = {*_recorded(tree)}
        return lambda path: path in names or bool(SKELETON.fullmatch(path))
    else:
        return _everything(tree)
    return lambda path: path in names


def _recorded(tree):
    """The files that the packages in an environment list as theirs (packaging.python.org: RECORD)."""
    for record in glob.glob(os.path.join(glob.escape(tree), "lib", "*", "site-packages", "*.dist-info", "RECORD")):
        site = os.path.dirname(os.path.dirname(record))
        with open(record, encoding="utf-8", errors="replace", newline="") as stream:
            for row in filter(None, csv.reader(stream)):
                yield os.path.relpath(os.path.join(site, row[0]), tree)


def note_files(tree):
    """Note in a Python environment, which holds nothing but ours, what is in it."""
    listed = []
    for parent, directories, files in os.walk(tree):
        links = [name for name in directories if os.path.islink(os.path.join(parent, name))]
        listed += [os.path.relpath(os.path.join(parent, name), tree) for name in files + links]
    write_json_atomically(os.path.join(tree, FILES), sorted(listed))


def _releases(tree):
    """A release lists its programs in its stamp. One without a stamp is on its way, in or out."""
    known = {}

    def files_of(name):
        stamp = read_json(os.path.join(tree, name, STAMP))
        if not isinstance(stamp, dict):
            return None
        return {STAMP, *(os.path.join("bin", str(program)) for program in stamp.get("programs") or [])}

    def is_ours(path):
        name, _slash, inside = path.partition(os.sep)
        if name.startswith("."):
            return bool(RELEASE.match(name) or name.startswith(".discarded."))
        if name not in known:
            known[name] = files_of(name)
        if known[name] is None:
            return bool(RELEASE.fullmatch(name))
        return inside in known[name] or bool(re.fullmatch(ON_THE_WAY % re.escape(STAMP), inside))

    return is_ours


def _records(tree):
    """A verification record tells of a file, its lock of a process; both by name and content."""
    on_the_way = re.compile(ON_THE_WAY % r"[^/]+\.json")

    def is_ours(path):
        if path.endswith(".json") and not on_the_way.fullmatch(path):
            record = read_json(os.path.join(tree, path))
            return isinstance(record, dict) and {"size", "mtime_ns", "inode"} <= set(record)
        return path.endswith(".lock") or bool(on_the_way.fullmatch(path))

    return is_ours


_work = _named(rf"{RELEASE.pattern}|lock|download|\.unpacking\.[^/]*")

JUDGES = {
    "lib": _sources,
    "runner": _sources,
    "venv": _environment,
    "build-tools": _environment,
    "releases": _releases,
    "build": _work,
    "src": _work,
    "ccache": _named(rf"[0-9a-f](?:/[0-9a-f])*/(?:[0-9a-z]{{20,}}[A-Z]?|{CCACHE_FILES})|{CCACHE_FILES}|tmp|lock"),
    # supervisord binds "<socket>.<its pid>" first, HAProxy adds ".tmp", and ".bak" for the socket that it replaces.
    "run": _named(rf"(?:{RUN_FILES})(?:\.[0-9]+)?|{SOCKETS_OF_HAPROXY}(?:\.[0-9]+\.(?:tmp|bak))?"),
    "home": _named(r"\.(?:cache|config|local|nv)|Library"),  # llama-server's HOME: what programs keep in one
    ".llama_cpp": _records,
}
