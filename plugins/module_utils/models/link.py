# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A model file that is on the host already: it is verified where it is, and linked to its place."""

from __future__ import annotations

import os

from ..macos.privacy import advice, guarded_place, why_unreadable
from .install import Action, FileInstall, Found, Prepared, remove, summary
from .source import Expected


class FileLink(FileInstall):
    """The installation of one ``wanted`` file as a symbolic link to the file ``target``, which is only verified where
    that is the place itself.

    The steps are those of :class:`FileInstall`; a target is never written to.

    :param to_come: paths that an earlier part of the play makes, or makes anew, so that plan() demands nothing of them;
        None: any that is missing may be one.
    """

    def __init__(self, wanted, target, *, progress=None, to_come=None):
        super().__init__(wanted, progress=progress)
        self._origin = self._target = target
        self._to_come = to_come

    def plan(self):
        with self._explained():
            expected = Expected(self.wanted.sha256, self.wanted.bytes)
            if self._is_linked() and self._look(expected) is Found.VERIFIED:
                return None
            after = {"sha256": self.wanted.sha256, "bytes": self.wanted.bytes}
            if self._comes():
                return Action(f"would link to {self._target}, which is not there yet", after)
            sha256 = self._record.valid_sha256 if self._is_linked() else None
            self._judged_target(sha256)
            if self._is_linked():
                return Action("would verify it")
            self._refuse_taken()
            return Action(f"would link to {self._target}", {"sha256": sha256, "bytes": os.path.getsize(self._target)})

    def expect(self):
        with self._explained():
            return self.plan() and Expected(self.wanted.sha256, self.wanted.bytes)

    def prepare(self, expected):
        if expected is None:
            return Prepared(self._dest)
        with self._explained():
            linked, wanted = self._is_linked(), self.wanted
            sha256 = self._record.valid_sha256 if linked else None
            self._judged_target(sha256)  # what is refused without reading is not read
            if wanted.deep_verify or (not sha256 and (wanted.sha256 or wanted.renew)):
                sha256 = self._hash(self._target)
            info = self._judged_target(sha256)
            placed = not linked or bool(self._record["placed"])
            facts = {"sha256": sha256, "origin": self._target, "revision": None, "gguf": summary(info)}
            return Prepared(self._dest if linked else self._target, {**facts, "placed": placed}, not linked)

    def withdraw(self, prepared):
        with self._explained():
            if self._record.is_ours():
                remove(self._dest)
            return prepared

    def place(self, prepared):
        with self._explained():
            if not self._is_linked():  # or not any more, see withdraw()
                self._refuse_taken()
                temporary = self._dest + ".link"
                remove(temporary)
                os.symlink(self._target, temporary)
                os.replace(temporary, self._dest)
            return super().place(prepared._replace(path=self._dest))

    def discard(self):
        """Nothing was fetched."""

    def _is_linked(self):
        """Whether the place leads to the target, or is the target itself."""
        there = os.path.exists(self._dest) and os.path.exists(self._target)
        return there and os.path.samefile(self._dest, self._target)

    def _comes(self):
        """Whether the target may be left to an earlier part of the play."""
        return not os.path.lexists(self._target) if self._to_come is None else self._target in self._to_come

    def _refuse_taken(self):
        if os.path.lexists(self._dest) and not self._record.is_ours():
            raise self._not_ours("is another file")

    def _judged_target(self, sha256):
        """The GgufInfo of the target, whose SHA-256 is given as far as it is known; raises LlamaCppError unless it is
        the wanted file."""
        target, guarded = self._target, guarded_place(self._target)
        if not os.path.isfile(target):
            remedy = advice(target, guarded) if guarded else "Correct models.%s.path." % self.wanted.name
            raise self._error("%s is not there or is no file" % target, remedy)
        why = guarded and why_unreadable(target)
        if why:
            raise self._error("%s cannot be read: %s" % (target, why), advice(target, guarded))
        info, problem = self._judge(target, self.wanted.bytes, self.wanted.sha256, sha256)
        if problem:
            raise self._error("%s %s. It was left as it is" % (target, problem))
        return info
