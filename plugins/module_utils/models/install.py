# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One model file, brought to its place and proved to be the right one, or taken away.

What the owner put there is verified and used, but never replaced and never removed.
"""

from __future__ import annotations

import contextlib
import os

from ..base.errors import LlamaCppError, in_words
from ..base.progress import Progress
from ..base.units import MIB
from ..net.disk_space import DiskRoom
from ..net.download import DownloadFailed
from ..net.http import WebError, host_of
from .fetch import ModelFetch
from .installed import Demands, Found, ModelPlace, summary


class ModelFile:
    """The model file ``path`` (absolute) and what is demanded of it: the fields of :class:`~.model_place.Demands`.

    :param room: the :class:`~.disk_room.DiskRoom` that it shares with the other files of its model.

    The methods return a dict, see :meth:`_result`. They raise LlamaCppError; the file in place is then as it was.
    """

    def __init__(self, name, path, *, progress=None, room=None, **demands):
        progress = progress or Progress()
        self._demands = Demands(name, path, **demands)
        self._path, self._part = path, path + ".part"
        self._place = ModelPlace(self._demands, progress)
        self._room = room or DiskRoom()
        self._fetch = ModelFetch(name, self._part, self._place, progress, self._room)
        self._progress = progress
        self._before = self._facts()
        self._truth = None  # what it must be, if there is work
        self.fetched = False  # whether the wanted file lies in the part file
        self._aside = False  # whether the file of the place waits there
        self._news = None  # what is to be stamped once it is in its place

    # ---- from the web

    def from_web(self, source):
        """Have the file that ``source``, a WebSource, offers."""
        settled = self.settled(source)
        if settled:
            return settled
        with self.locked():
            self.learn(source)
            self.prepare(source)
            return self.place()

    def settled(self, source):
        """The result if there is nothing to do, or only to say; None when there is work."""
        demands = self._demands
        with self._plain_errors():
            self._demand_checksum(demands.sha256 or source.tells_checksum)
            found = self._place.look(source.origin, demands.sha256, demands.size)
            if found is Found.RIGHT and not self._must_ask_again(source):
                return self._result(changed=False)
            return self._forecast(found, source) if demands.check_only else None

    def learn(self, source):
        """Before the work: find out what the file must be, and that there is room for it."""
        demands = self._demands
        with self._plain_errors():
            right = self._place.look(source.origin, demands.sha256, demands.size) is Found.RIGHT
            if right and not self._must_ask_again(source):
                return  # another run did the work while this one waited
            truth = source.truth(os.path.basename(self._path), demands.sha256, demands.size, self._progress)
            self._demand_checksum(truth.sha256)
            if truth.size and self._place.look(source.origin, truth.sha256, truth.size) is Found.FREE:
                self._room.claim(self._part, truth.size)
            self._truth = truth

    def prepare(self, source):
        """First half of the work: have the wanted file complete and proved, in its place or beside it."""
        truth = self._truth
        if truth is None:
            return
        with self._plain_errors():
            if self._look_and_read(source.origin, truth.sha256, truth.size) is Found.FREE:
                self._news = self._fetch.from_web(source, truth)
                self.fetched = True
            else:
                self._news = {
                    "origin": self._place.stamp["placed"] and source.origin,
                    "revision": truth.revision,
                }

    def place(self):
        """Second half: give what was prepared its name and its stamp."""
        with self._plain_errors():
            if self.fetched or self._aside:
                os.replace(self._part, self._path)
                _remove(self._part + ".json")
            if self._news:
                self._place.stamp.write(**self._news)
            return self._result(changed=self.fetched)

    def withdraw(self):
        """Leave the place empty until place(), unless what is there is the owner's."""
        with self._plain_errors():
            if self.fetched:
                _remove(self._path)
            elif self._place.stamp.is_ours():
                os.replace(self._path, self._part)
                self._aside = True

    @property
    def whereabouts(self):
        """The file that is, or is about to be, in the place."""
        return self._part if self.fetched else self._path

    def discard(self):
        """Throw away what was prepared."""
        if self.fetched:
            self._fetch.discard()
            self.fetched = False

    def locked(self):
        """Keep others from the place while the block runs."""
        return self._place.locked()

    # ---- from a bundle

    def from_bundle(self, bundle):
        """Have the file that a Bundle holds under the same name, as if it had come from where that was fetched."""
        name = os.path.basename(self._path)
        facts = bundle.facts["models"][name]
        with self._plain_errors():
            if self._demands.sha256 not in (None, facts["sha256"]):
                words = "%s is not the expected file:\n  expected  sha256 %s\n  found     sha256 %s\n"
                sums = self._demands.sha256, facts["sha256"]
                raise self._place.error(words % (name + " in " + bundle.path, *sums))
            if self._demands.size not in (None, facts["bytes"]):
                words = "%s in %s has %d bytes; %d are expected"
                raise self._place.error(words % (name, bundle.path, facts["bytes"], self._demands.size))
            sought = facts["origin"], facts["sha256"], facts["bytes"]
            if self._place.look(*sought) is Found.RIGHT:
                return self._result(changed=False)
            if self._demands.check_only:
                after = {"path": self._path, "bytes": facts["bytes"], "sha256": facts["sha256"]}
                return self._result(True, after, "would take it from " + bundle.path)
            with self.locked():
                if self._look_and_read(*sought) is Found.FREE:
                    self._news = self._fetch.from_bundle(bundle, name)
                    self.fetched = True
                return self.place()

    # ---- a link to a file that is there

    def linked_to(self, target):
        """Have a symbolic link to the file ``target``; nothing but a check if that is the place itself."""
        return self.settled_link(target) or self.link()

    def settled_link(self, target):
        """The result if there is nothing to do, or only to say; None when ``target`` is the wanted file."""
        demands, stamp = self._demands, self._place.stamp
        with self._plain_errors():
            self._demand_checksum(demands.sha256)
            in_place = os.path.exists(self._path) and os.path.exists(target) and os.path.samefile(self._path, target)
            if in_place and self._place.look(target, demands.sha256, demands.size) is Found.RIGHT:
                return self._result(changed=False)
            if demands.check_only and not os.path.lexists(target):  # perhaps an earlier task of the play makes it
                after = {"path": self._path, "bytes": demands.size, "sha256": demands.sha256}
                return self._result(True, after, f"would link to {target}, which is not there yet")
            known = stamp["sha256"] if in_place and stamp.holds() else None
            sha256, info = self._place.verified(target, known)
            if not in_place and os.path.lexists(self._path) and not stamp.is_ours():
                raise self._place.not_ours("is another file")
            if demands.check_only:
                after = {"path": self._path, "bytes": info.size, "sha256": sha256}
                return self._result(not in_place, after, "would verify it" if in_place else "would link to " + target)
            self._news = {"sha256": sha256, "origin": target, "gguf": summary(info), "revision": None}
            return None

    def link(self):
        """Make the link for which settled_link() found the file right."""
        with self._plain_errors(), self.locked():
            target, stamp = self._news["origin"], self._place.stamp
            in_place = os.path.exists(self._path) and os.path.samefile(self._path, target)
            placed = not in_place or bool(stamp["placed"])
            if not in_place:
                _link(target, self._path)
            stamp.write(placed=placed, **self._news)
            return self._result(not in_place)

    # ---- none

    def absent(self):
        """Remove the file if this collection put it there, and an unfinished download of it."""
        with self._plain_errors():
            there, begun = os.path.lexists(self._path), os.path.lexists(self._part + ".json")
            if there and not self._place.stamp.is_ours():
                raise self._place.error(
                    "%s was not put there by this collection, or was changed since, so it was not removed" % self._path,
                    "To remove it yourself: rm '%s'" % self._path,
                )
            if (there or begun) and not self._demands.check_only:
                with self.locked():
                    for path in (self._path, self._part, self._part + ".json"):
                        _remove(path)
                    self._place.stamp.remove()
            return self._result(there or begun, after={})

    # ---- what they share

    def _look_and_read(self, origin, sha256, size):
        found = self._place.look(origin, sha256, size)
        return self._place.read(origin, sha256, size) if found is Found.UNREAD else found

    def _must_ask_again(self, source):
        return self._demands.renew and source.tells_checksum

    def _demand_checksum(self, known):
        if self._demands.require_checksum and not known:
            raise self._place.error(
                "no sha256 is known for it, and policy.require_checksums asks for one",
                "Add models.%s.sha256." % self._demands.name,
            )

    @contextlib.contextmanager
    def _plain_errors(self):
        try:
            yield
        except (WebError, DownloadFailed) as error:
            raise LlamaCppError("Model %s: %s" % (self._demands.name, error)) from error
        except OSError as error:
            raise LlamaCppError("Model %s: %s" % (self._demands.name, in_words(error, path=self._path))) from error

    # ---- telling

    def _facts(self):
        if not os.path.lexists(self._path):
            return {}
        size = os.path.getsize(self._path) if os.path.exists(self._path) else None
        stamp = self._place.stamp
        return {"path": self._path, "bytes": size, "sha256": stamp["sha256"] if stamp.holds() else None}

    def _forecast(self, found, source):
        if found is Found.UNREAD:
            return self._result(changed=False, message="would verify the file in place")
        if found is Found.RIGHT:
            return self._result(
                changed=False, message="would ask %s whether it has another one now" % host_of(source.url)
            )
        demands = self._demands
        amount = "%.1f MiB" % (demands.size / MIB) if demands.size else "it"
        after = {"path": self._path, "bytes": demands.size, "sha256": demands.sha256}
        return self._result(True, after, "would download %s from %s" % (amount, host_of(source.url)))

    def _result(self, changed, after=None, message=""):
        """What a module returns; None stands for what is not known (yet)."""
        after = self._facts() if after is None else after
        stamp = self._place.stamp
        held = stamp.holds()
        header = (stamp["gguf"] if held else None) or {}
        return {
            "changed": changed,
            "path": self._path,
            "bytes": after.get("bytes"),
            "sha256": after.get("sha256"),
            "architecture": header.get("architecture"),
            "context_length": header.get("context_length"),
            "origin": stamp["origin"] if held else None,
            "revision": stamp["revision"] if held else None,
            "transferred": self._fetch.transferred,
            "verified": bool(held and not (self._demands.check_only and message)),
            "msg": message,
            "warnings": self._fetch.warnings,
            "diff": {"before": self._before, "after": after},
        }


def _link(target, path):
    temporary = path + ".link"
    _remove(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)


def _remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
