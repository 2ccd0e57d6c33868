# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""All files of one model, which are right only together: until all are complete and verified, none gets its name."""

from __future__ import annotations

import contextlib
import functools

from ..base.errors import LlamaCppError
from . import gguf, kinds
from .parallel import at_once


class ModelInstall:
    """The installation of one model.

    :param name: the model's name in the configuration, for messages.
    :param files: a :class:`~.install.FileInstall` for each of its files, in their order.
    :param stop: ends the work on all of them (:meth:`.parallel.SharedProgress.stop`).
    """

    def __init__(self, name, files, stop=lambda: None):
        self._name, self._files, self._stop = name, files, stop

    def present(self, check_only=False):
        """Have the verified files in their places, or only say what that takes; the result for all of them."""
        actions = [file.plan() for file in self._files]
        if check_only or not any(actions):
            return self._result([file.forecast(action) for file, action in zip(self._files, actions)])
        with contextlib.ExitStack() as locks:
            for file in self._files:
                locks.enter_context(file.locked())
            # All of them are known, and have room, before the first is fetched.
            expected = self._at_once([file.expect for file in self._files])
            prepared = self._at_once([functools.partial(file.prepare, one) for file, one in zip(self._files, expected)])
            if len(prepared) > 1:
                self._require_whole(prepared)
                if any(one.changed for one in prepared):
                    # Without its first file a model is none: if this is interrupted, no mixture of two can be served.
                    prepared[0] = self._files[0].withdraw(prepared[0])
            pairs = reversed(list(zip(self._files, prepared)))
            return self._result([file.place(one) for file, one in pairs][::-1])

    def absent(self, check_only=False):
        """Remove the files that this collection put there; the result for all of them."""
        return self._result([file.absent(check_only) for file in self._files])

    def _at_once(self, calls):
        return at_once(calls, self._stop)

    def _require_whole(self, prepared):
        try:
            kinds.require_set([one.path for one in prepared])
        except gguf.GgufError as error:
            for file, one in zip(self._files, prepared):
                if one.changed:
                    file.discard()
            words = "Model %s: %s. What was fetched was thrown away, and nothing was put in place."
            raise LlamaCppError(words % (self._name, error)) from error

    def _result(self, results):
        """One result of those of all files, with ``dest`` of the first and ``bytes`` of all."""
        warnings = [warning for file in self._files for warning in file.warnings]
        if len(results) == 1:
            return {**results[0], "warnings": warnings}
        sizes = [result["bytes"] for result in results]
        return {
            **results[0],
            "changed": any(result["changed"] for result in results),
            "bytes": None if None in sizes else sum(sizes),
            "sha256": None,
            "transferred": sum(result["transferred"] for result in results),
            "verified": all(result["verified"] for result in results),
            "msg": "; ".join(dict.fromkeys(result["msg"] for result in results if result["msg"])),
            "warnings": warnings,
            "diff": {side: [result["diff"][side] for result in results] for side in ("before", "after")},
        }
