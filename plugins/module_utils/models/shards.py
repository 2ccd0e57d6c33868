# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A model that is spread over several files, which llama.cpp finds by their names and which are right only together.

``llama-gguf-split`` calls them ``NAME-00001-of-0000N.gguf``; llama-server is given the first.
"""

from __future__ import annotations

import contextlib
import re
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from ..base.errors import LlamaCppError
from . import gguf

PARALLEL_DOWNLOADS = 4
PART_NAME = re.compile(r"-([0-9]{5})-of-([0-9]{5})(\.gguf)(?=$|\?)")


def part_number(name):
    """(number from 1, count) by the name of a file, or None when it is no part of several."""
    match = PART_NAME.search(name)
    number, count = (int(match.group(1)), int(match.group(2))) if match else (1, 1)
    return (number, count) if count > 1 else None


def part_name(name, number):
    """The name, path or address of part ``number`` (from 1), from that of any other part."""
    return PART_NAME.sub(lambda match: "-%05d-of-%s%s" % (number, match.group(2), match.group(3)), name)


def part_names(name):
    """The names of all parts, from that of the first; just ``name`` when there is one file."""
    found = part_number(name)
    return [part_name(name, number + 1) for number in range(found[1])] if found else [name]


class ModelSet:
    """The files of one model; until all of them are complete and proved, none is given its place.

    :param name: the model's name in the configuration, for messages.
    :param files: a :class:`~.models.ModelFile` for each, in their order.
    :param progress: the :class:`SharedProgress` that they report to.

    The methods return what those of a ModelFile do, with ``path`` of the first and ``bytes`` of all.
    """

    def __init__(self, name, files, progress):
        self._name, self._files, self._progress = name, files, progress

    def from_web(self, sources):
        """Have what ``sources``, a WebSource for each file, offer."""
        settled = [file.settled(source) for file, source in zip(self._files, sources)]
        if all(settled):
            return _together(settled)
        with contextlib.ExitStack() as locks:
            for file in self._files:
                locks.enter_context(file.locked())
            # All of them are known, and have room, before the first is fetched.
            self._all("learn", sources)
            self._all("prepare", sources)
            try:
                gguf.require_set([file.whereabouts for file in self._files])
            except gguf.GgufError as error:
                for file in self._files:
                    file.discard()
                raise self._error(error, "What was fetched was thrown away, and nothing was put in place.") from error
            # Without its first file a set is no model: should this be interrupted, no mixture of two can be served.
            if any(file.fetched for file in self._files):
                self._files[0].withdraw()
            return _together([file.place() for file in reversed(self._files)][::-1])

    def linked_to(self, targets):
        """Have symbolic links to the files ``targets``."""
        settled = [file.settled_link(target) for file, target in zip(self._files, targets)]
        if all(settled):
            return _together(settled)
        try:
            gguf.require_set(targets)
        except gguf.GgufError as error:
            raise self._error(error, "Nothing was put in place.") from error
        pairs = reversed(list(zip(self._files, settled)))
        return _together([found or file.link() for file, found in pairs][::-1])

    def absent(self):
        """Remove the files that this collection put there."""
        return _together([file.absent() for file in self._files])

    def _error(self, problem, consequence):
        return LlamaCppError("Model %s: %s. %s" % (self._name, problem, consequence))

    def _all(self, step, sources):
        """Take one step of the work for several files at a time; the first failure stops the others."""
        with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            pairs = zip(self._files, sources)
            running = [pool.submit(getattr(file, step), source) for file, source in pairs]
            wait(running, return_when=FIRST_EXCEPTION)
            if any(task.done() and task.exception() for task in running):
                self._progress.stop()
                for task in running:
                    task.cancel()
        failures = [task.exception() for task in running if not task.cancelled() and task.exception()]
        for failure in sorted(failures, key=lambda failure: isinstance(failure, Stopped)):
            raise failure


class Stopped(LlamaCppError):
    """Another file of the set failed."""


class SharedProgress:
    """The progress of several files at once, in one line."""

    def __init__(self, progress, count):
        self._progress = progress
        self._lock = threading.Lock()
        self._shares = [(0, None)] * count
        self._stopped = False

    def share(self, index):
        """What the file ``index`` reports to."""
        return _Share(self, index)

    def stop(self):
        """Have every file end at its next report."""
        self._stopped = True

    def update(self, index, done, total, detail):
        if self._stopped:
            raise Stopped("Another file of the model failed.")
        with self._lock:
            if total is not None:
                self._shares[index] = (done, total)
            known = [share for share in self._shares if share[1] is not None]
            complete = sum(done == total for done, total in known)
            total = sum(total for _done, total in known) if len(known) == len(self._shares) else None
            words = "%d of %d files complete" % (complete, len(self._shares))
            self._progress.update(
                "downloading",
                sum(done for done, _total in known),
                total,
                "bytes",
                ", ".join(filter(None, (words, detail))),
            )


class _Share:
    """Stands where a :class:`~.progress.Progress` is wanted."""

    def __init__(self, shared, index):
        self._shared, self._index = shared, index

    def update(self, _stage, done=0, total=None, unit="steps", detail=""):
        in_bytes = unit == "bytes"
        self._shared.update(self._index, done, total if in_bytes else None, "" if in_bytes else detail)


def _together(results):
    """One result of those of all files."""
    first = results[0]
    sizes = [result["bytes"] for result in results]
    diff = {side: [result["diff"][side] for result in results] for side in ("before", "after")}
    return {
        **first,
        "changed": any(result["changed"] for result in results),
        "bytes": None if None in sizes else sum(sizes),
        "sha256": None,
        "transferred": sum(result["transferred"] for result in results),
        "verified": all(result["verified"] for result in results),
        "msg": "; ".join(dict.fromkeys(result["msg"] for result in results if result["msg"])),
        "warnings": [warning for result in results for warning in result["warnings"]],
        "diff": diff,
    }
