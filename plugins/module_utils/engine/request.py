# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Brings the release that a plan asks for onto a host, compiled, adopted, unpacked or fetched, and makes it current."""

from __future__ import annotations

import os

from ..base.errors import LlamaCppError
from ..base.progress import Progress
from ..llama import options
from ..net.seed import Seed
from ..ownership import trees
from ..ownership.manifest import Manifest
from . import build, fetch, store
from .release import ADOPTED, BUNDLE, existing_programs, label, prebuilt_programs
from .selftest import check_engine

#: What a release can be brought to.
STATES = ("present", "fetched", "current")


def look(release):
    """What of a :class:`Release` is on the host, and which one is in use (``serving``)."""
    return {**release.state(), "serving": store.current_release(release.engine_dir)}


def told(release, found):
    """The release as a module returns it; ``found`` is what :func:`look` saw."""
    return {
        "name": release.name,
        "path": release.path,
        "server": release.program(),
        "source_dir": release.source_path,
        **found,
    }


def require_options(release, found, arguments):
    """Raise LlamaCppError for ``arguments`` that the release, when it is there, does not know."""
    if arguments and found["usable"]:
        options.check(release.program(), arguments)


def require_programs(release, found, names):
    """Raise LlamaCppError for programs, ``names``, that the release is known to lack."""
    if found["usable"]:
        there = store.stamp_of(release.engine_dir, release.name).get("programs", [])
    elif release.engine["source"] in ADOPTED:
        there = existing_programs(release.engine)
    else:
        there = release.engine["targets"] or names  # else it comes with what is downloaded
    missing = [name for name in names if name not in there]
    if missing:
        raise LlamaCppError(
            f"{release.name} has no {', '.join(missing)}, so it was built without RPC (GGML_RPC). Nothing was changed. "
            "Choose an engine that has it; with engine.source git, pypi or archive, engine.rpc builds it."
        )


def is_due(found, served):
    """Whether anything is to be done for the release.

    :param served: whether a service runs it; then the rollout of the service makes it the current one.
    """
    current = found["serving"] is not None if served else found["current"]
    return not (found["selftested"] and current)


def ensure(release, wanted, check_only, warn, bundle=None):
    """Bring the release into the state that ``wanted``, the options of engine_release, asks for.

    Returns whether that is a change.

    :param warn: takes what failed although the play goes on.
    :param bundle: the Bundle that has the release, for an engine with the source ``bundle``.
    """
    before = look(release)
    require_options(release, before, wanted["arguments"])
    if wanted["state"] == "current":
        return _make_current(release, before, check_only)
    if before["usable"]:
        return False
    if check_only:
        return True
    Manifest(wanted["manifest"]).note({release.path: "tree"})
    progress = Progress(wanted["progress_file"], subject=f"llama.cpp {label(release.engine)}")
    if wanted["state"] == "fetched":
        if not _fetched(release, wanted["seed"], progress, warn):
            return False
    elif release.engine["source"] == BUNDLE:
        release.unpack(bundle)
    elif release.engine["source"] in ADOPTED:
        release.install(existing_programs(release.engine))
    elif release.engine["source"] == "release":
        release.install(prebuilt_programs(wanted["source_dir"]))
    else:
        build.build(release, wanted["source_dir"], progress, wanted["tool_dirs"])
    if wanted["state"] == "present":
        trees.clear(os.path.dirname(release.source_path))
    require_options(release, look(release), wanted["arguments"])
    if wanted["selftest"]:
        summary = check_engine(release.program(), **wanted["selftest"], progress=progress)
        store.admit(release.engine_dir, release.name, summary)
    return True


def _fetched(release, offer, progress, warn):
    try:
        fetch.fetch(release, Seed(**offer), progress)
    except LlamaCppError as error:
        warn(f"The release {release.name} could not be had from the seed. {error}")
        return False
    return True


def _make_current(release, before, check_only):
    if before["current"]:
        return False
    if not check_only:
        if not before["usable"]:
            raise LlamaCppError(f"{release.name} cannot be put in service: {before['why_not']}. Nothing was changed.")
        store.switch(release.engine_dir, release.name)
    return True
