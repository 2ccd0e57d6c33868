# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The releases of llama.cpp that are on a host: which there are, which one is current, which ones may go.

How a release comes there is the subject of engine/release.py.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.files import read_json, write_json_atomically
from ..ownership import trees
from ..ownership.trees import FINGERPRINT_DIGITS, STAMP

#: What of a stamp is read (engine.Release.install).
STAMP_FORM = {"programs": [str], "build_info": str, "identity": {}, "sha256": {}}

SERVER = "llama-server"

#: The compiler cache below the directory of the engine.
CACHE = "ccache"

#: A release that is on its way in or out: its name, maybe with a dot before it and something random behind it.
UNFINISHED = re.compile(r"\.?[^.].*-[0-9a-f]{%d}(\.|$)|\.discarded\." % FINGERPRINT_DIGITS)
ABANDONED_SECONDS = 24 * 3600  # without being touched; no installation takes so long


def directory_of(engine_dir, name):
    """Where the release ``name`` is."""
    return os.path.join(engine_dir, "releases", name)


def program_of(engine_dir, name, program=SERVER):
    """The path of a program of the release ``name``."""
    return os.path.join(directory_of(engine_dir, name), "bin", program)


def stamp_of(engine_dir, name):
    """What is noted about a release, as a dict; empty when there is no such release."""
    return (read_json(os.path.join(directory_of(engine_dir, name), STAMP), STAMP_FORM) if name else None) or {}


def current_release(engine_dir):
    """The name of the current release, or None."""
    try:
        return os.path.basename(os.readlink(os.path.join(engine_dir, "current")))
    except OSError:
        return None


def admitted(engine_dir, name):
    """The release ``name`` if it has passed the self-test, else the current one: nothing else is put in service."""
    return name if stamp_of(engine_dir, name).get("selftest") else current_release(engine_dir)


def admit(engine_dir, name, summary):
    """Note that the release ``name`` has passed the self-test, with its ``summary``.

    Where no release is current yet, it becomes so. Otherwise the rollout of the service changes over.
    """
    path = os.path.join(directory_of(engine_dir, name), STAMP)
    write_json_atomically(path, {**stamp_of(engine_dir, name), "selftest": summary})
    if current_release(engine_dir) is None:
        switch(engine_dir, name)


def build_info_of(server):
    """What a llama-server says it is, in the form of ``/props.build_info`` (``b0-0c1e570``); None when it does not run.

    ``--version`` prints "version: X (build N, commit H)", before mid-2026 "version: N (H)" (facts: llama.cpp
    common/arg.cpp and tools/server at the pinned commit).
    """
    text = commands.output_of([server, "--version"]) or ""
    match = re.search(r"\(build (\d+), commit ([^)\s]+)\)", text) or re.search(r"version: (\d+) \((\w+)\)", text)
    return "b{}-{}".format(*match.groups()) if match else None


def switch(engine_dir, name):
    """Make the release ``name`` the current one, in one rename; returns whether it was another one before."""
    if current_release(engine_dir) == name:
        return False
    temporary = tempfile.mkdtemp(prefix=".current.", dir=engine_dir)
    try:
        link = os.path.join(temporary, "current")
        os.symlink(os.path.join("releases", name), link)
        os.replace(link, os.path.join(engine_dir, "current"))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def installed(engine_dir):
    """The names of all releases that are complete, the one that was installed or tested last first."""
    names = [name for name in _directories(engine_dir) if not name.startswith(".")]
    stamps = {name: os.path.join(directory_of(engine_dir, name), STAMP) for name in names}
    times = {name: os.stat(path).st_mtime_ns for name, path in stamps.items() if os.path.exists(path)}
    return sorted(times, key=lambda name: (-times[name], name))


def prune(engine_dir, keep, protected):
    """Remove the oldest releases until ``keep`` are left; never the current one nor one in ``protected``.

    A release loses its stamp first, so that what an interruption leaves of it counts as absent. Returns the names.
    What interruptions have left goes too, here and in installations. What somebody else put among them stays.
    """
    names = installed(engine_dir)
    protected = {current_release(engine_dir), *protected}
    free = [name for name in names if name not in protected]
    surplus = free[max(0, keep - (len(names) - len(free))) :]
    foreign = trees.foreign(os.path.join(engine_dir, "releases")) if names else ()
    for name in surplus:
        os.unlink(os.path.join(directory_of(engine_dir, name), STAMP))
        trees.remove(directory_of(engine_dir, name), foreign)
    for name in _directories(engine_dir):
        if name not in [*names, *protected] and UNFINISHED.match(name) and _is_old(directory_of(engine_dir, name)):
            shutil.rmtree(directory_of(engine_dir, name), ignore_errors=True)
    return surplus


def _directories(engine_dir):
    try:
        return os.listdir(os.path.join(engine_dir, "releases"))
    except OSError:
        return []


def _is_old(directory):
    try:
        return time.time() - os.stat(directory).st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:  # gone meanwhile
        return False


def choose(engine_dir, wanted, previous):
    """The release to go back to: ``wanted`` (a name, or its beginning if only one has it), else ``previous``.

    Raises LlamaCppError, with the names there are, when it is not there.
    """
    current, names = current_release(engine_dir), installed(engine_dir)
    there = "The releases on this host: {}. Nothing was changed.".format(
        ", ".join(name + (" (current)" if name == current else "") for name in names) or "none"
    )
    if not wanted:
        if previous not in names:
            raise LlamaCppError(f"No release served before the current one, so there is none to go back to. {there}")
        return previous
    found = [wanted] if wanted in names else [name for name in names if name.startswith(wanted)]
    if len(found) != 1:
        what = "is not on this host" if not found else "is the beginning of more than one name"
        raise LlamaCppError(f'The release "{wanted}" {what}. {there}')
    return found[0]
