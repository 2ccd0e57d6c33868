# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One model file, brought to its place and proved to be the right one, or taken away.

A file in place that was verified once is trusted through its stamp: such a run reads no model data.
What the owner put there is verified and used, but never replaced and never removed.
"""

from __future__ import annotations

import contextlib
import enum
import os

from . import gguf
from .download import Download, DownloadFailed
from .errors import LlamaCppError
from .files import exclusive, sha256_of
from .guarded_places import advice, guarded_place, why_unreadable
from .progress import MIB, Progress
from .stamps import Stamp
from .web import WebError, host_of


class Place(enum.Enum):
    """What a look at the place of the model showed."""

    RIGHT = "the wanted file, as its stamp proves"
    UNREAD = "a file that has to be read to know"
    FREE = "nothing, or a file of ours that is not the wanted one"


class ModelFile:
    """The model file ``path`` (absolute) and what is demanded of it.

    :param name: the model's name in the configuration, for messages.
    :param sha256: 64 lower-case hex digits, or None.
    :param size: bytes, or None.
    :param kind: what it must be: a "model", an "mmproj" or an "adapter".
    :param part: its number, from 0, among how many files of one model.
    :param require_checksum: refuse a file for which no SHA-256 is known beforehand.
    :param deep_verify: read and hash the file even if its stamp vouches for it.
    :param renew: ask anew what the source has, and let no SHA-256 stay unknown.
    :param check_only: say what would be done, from stamp, size and header alone; no network, nothing written.

    The methods return a dict, see :meth:`_result`. They raise LlamaCppError; the file in place is then as it was.
    """

    def __init__(
        self,
        name,
        path,
        *,
        sha256=None,
        size=None,
        kind="model",
        part=(0, 1),
        require_checksum=False,
        deep_verify=False,
        renew=False,
        check_only=False,
        progress=None,
    ):
        self._name, self._path, self._part = name, path, path + ".part"
        self._sha256, self._size = sha256, size
        self._kind, self._wanted_part = kind, part
        self._require_checksum, self._check_only = require_checksum, check_only
        self._deep_verify, self._renew = deep_verify, renew
        self._progress = progress or Progress()
        self._stamp = Stamp(path)
        self._before = self._facts()
        self._transferred = 0
        self.fetched = False  # whether the wanted file lies in the part file
        self._aside = False  # whether the file of the place waits there
        self._news = None  # what is to be stamped once it is in its place
        self._warnings = []

    # ---- what can be asked for

    def from_web(self, source):
        """Have the file that ``source``, a WebSource, offers."""
        settled = self.settled(source)
        if settled:
            return settled
        with self.locked():
            self.prepare(source)
            return self.place()

    def settled(self, source):
        """The result if there is nothing to do, or only to say; None when there is work."""
        with self._plain_errors():
            self._demand_checksum(self._sha256 or source.tells_checksum)
            place = self._look(source.origin, self._sha256, self._size)
            if place is Place.RIGHT and not self._must_ask_again(source):
                return self._result(changed=False)
            return self._forecast(place, source) if self._check_only else None

    def _must_ask_again(self, source):
        return self._renew and source.tells_checksum

    def prepare(self, source):
        """First half of the work: have the wanted file complete and proved, in its place or beside it."""
        with self._plain_errors():
            right = self._look(source.origin, self._sha256, self._size) is Place.RIGHT
            if right and not self._must_ask_again(source):
                return  # another run did the work while this one waited
            truth = source.truth(os.path.basename(self._path), self._sha256, self._size, self._progress)
            self._demand_checksum(truth.sha256)
            place = self._look(source.origin, truth.sha256, truth.size)
            if place is Place.UNREAD:
                place = self._read(source.origin, truth.sha256, truth.size)
            if place is Place.FREE:
                self._fetch(source, truth)
            else:
                self._news = {"origin": self._stamp["placed"] and source.origin, "revision": truth.revision}

    def place(self):
        """Second half: give what was prepared its name and its stamp."""
        with self._plain_errors():
            if self.fetched or self._aside:
                os.replace(self._part, self._path)
                _remove(self._part + ".json")
            if self._news:
                self._stamp.write(**self._news)
            return self._result(changed=self.fetched)

    def withdraw(self):
        """Leave the place empty until place(), unless what is there is the owner's."""
        with self._plain_errors():
            if self.fetched:
                _remove(self._path)
            elif self._stamp.is_ours():
                os.replace(self._path, self._part)
                self._aside = True

    @property
    def whereabouts(self):
        """The file that is, or is about to be, in the place."""
        return self._part if self.fetched else self._path

    def discard(self):
        """Throw away what was prepared."""
        if self.fetched:
            for path in (self._part, self._part + ".json"):
                _remove(path)
            self.fetched = False

    def from_bundle(self, bundle):
        """Have the file that a Bundle holds under the same name, as if it had come from where that was fetched."""
        name = os.path.basename(self._path)
        facts = bundle.facts["models"][name]
        with self._plain_errors():
            if self._sha256 not in (None, facts["sha256"]):
                words = "%s is not the expected file:\n  expected  sha256 %s\n  found     sha256 %s\n"
                raise self._error(words % (name + " in " + bundle.path, self._sha256, facts["sha256"]))
            sought = facts["origin"], facts["sha256"], facts["bytes"]
            if self._look(*sought) is Place.RIGHT:
                return self._result(changed=False)
            if self._check_only:
                after = {"path": self._path, "bytes": facts["bytes"], "sha256": facts["sha256"]}
                return self._result(True, after, "would take it from " + bundle.path)
            with self.locked():
                place = self._look(*sought)
                if place is Place.UNREAD:
                    place = self._read(*sought)
                if place is Place.FREE:
                    self._take(bundle, name, facts)
                return self._result(changed=place is Place.FREE)

    def linked_to(self, target):
        """Have a symbolic link to the file ``target``; nothing but a check if that is the place itself."""
        return self.settled_link(target) or self.link()

    def settled_link(self, target):
        """The result if there is nothing to do, or only to say; None when ``target`` is the wanted file."""
        with self._plain_errors():
            self._demand_checksum(self._sha256)
            in_place = os.path.exists(self._path) and os.path.exists(target) and os.path.samefile(self._path, target)
            if in_place and self._look(target, self._sha256, self._size) is Place.RIGHT:
                return self._result(changed=False)
            if self._check_only and not os.path.lexists(target):  # perhaps an earlier task of the play makes it
                after = {"path": self._path, "bytes": self._size, "sha256": self._sha256}
                return self._result(True, after, f"would link to {target}, which is not there yet")
            sha256, info = self._verified(target, self._stamp["sha256"] if in_place and self._stamp.holds() else None)
            if not in_place and os.path.lexists(self._path) and not self._stamp.is_ours():
                raise self._not_ours("is another file")
            if self._check_only:
                after = {"path": self._path, "bytes": info.size, "sha256": sha256}
                return self._result(not in_place, after, "would verify it" if in_place else "would link to " + target)
            self._news = {"sha256": sha256, "origin": target, "gguf": _summary(info), "revision": None}
            return None

    def link(self):
        """Make the link for which settled_link() found the file right."""
        with self._plain_errors(), self.locked():
            target = self._news["origin"]
            in_place = os.path.exists(self._path) and os.path.samefile(self._path, target)
            placed = not in_place or bool(self._stamp["placed"])
            if not in_place:
                _link(target, self._path)
            self._stamp.write(placed=placed, **self._news)
            return self._result(not in_place)

    def absent(self):
        """Remove the file if this collection put it there, and an unfinished download of it."""
        with self._plain_errors():
            there, begun = os.path.lexists(self._path), os.path.lexists(self._part + ".json")
            if there and not self._stamp.is_ours():
                raise self._error(
                    "%s was not put there by this collection, or was changed since, so it was not removed" % self._path,
                    "To remove it yourself: rm '%s'" % self._path,
                )
            if (there or begun) and not self._check_only:
                with self.locked():
                    for path in (self._path, self._part, self._part + ".json"):
                        _remove(path)
                    self._stamp.remove()
            return self._result(there or begun, after={})

    # ---- judging what is there

    def _look(self, origin, sha256, size):
        """What is in the place, by stamp, size and header; raises LlamaCppError for a wrong file of the owner."""
        stamp, ours = self._stamp, self._stamp.is_ours()
        if not os.path.lexists(self._path):
            return Place.FREE
        if not os.path.exists(self._path) and not ours:
            raise self._error(
                "%s is a link to %s, which is not there" % (self._path, os.readlink(self._path)),
                "Bring that file back or remove the link, then run the play again.",
            )
        if stamp.holds() and (stamp["sha256"] or not sha256):
            same_content = stamp["sha256"] == sha256 if sha256 else stamp["origin"] == origin or not ours
            if same_content and size in (None, stamp["size"]):
                unread = self._deep_verify or (self._renew and not stamp["sha256"])
                return Place.UNREAD if unread else Place.RIGHT
        if ours:
            return Place.FREE
        _info, problem = self._judge(self._path, size, sha256, stamp["sha256"] if stamp.holds() else None)
        if problem:
            raise self._not_ours(problem)
        return Place.UNREAD

    def _read(self, origin, sha256, size):
        """Verify the file in place and stamp it if it is the wanted one; otherwise as :meth:`_look`."""
        stamp = self._stamp
        held, stamped = stamp.holds(), stamp["sha256"]
        actual = self._hash(self._path) if sha256 or stamped or self._deep_verify or self._renew else None
        ours = bool(stamp["placed"]) and (held or actual == stamped)  # the same content: restored from a backup
        info, problem = self._judge(self._path, size, sha256 or (stamped if held else None), actual)
        if problem and not ours:
            raise self._not_ours(problem)
        if problem or (ours and not sha256 and stamp["origin"] != origin):
            return Place.FREE
        stamp.write(sha256=actual, placed=ours, gguf=_summary(info))
        return Place.RIGHT

    def _verified(self, target, sha256):
        """SHA-256 (None if nobody needs it) and GgufInfo of the owner's file ``target``."""
        place = guarded_place(target)
        if not os.path.isfile(target):
            remedy = "Correct models.%s.path." % self._name if place is None else advice(target, place)
            raise self._error("%s is not there or is no file" % target, remedy)
        why = place and why_unreadable(target)
        if why:
            raise self._error("%s cannot be read: %s" % (target, why), advice(target, place))
        if not self._check_only and (self._deep_verify or (self._sha256 and not sha256)):
            sha256 = self._hash(target)
        info, problem = self._judge(target, self._size, self._sha256, sha256)
        if problem:
            raise self._error("%s %s. It was left as it is" % (target, problem))
        return sha256, info

    def _judge(self, path, size, sha256, actual):
        """The GgufInfo of a file and what is wrong with it; ``actual`` is its SHA-256, None if it was not read."""
        if size is not None and os.path.getsize(path) != size:
            return None, "has %d bytes; %d are expected" % (os.path.getsize(path), size)
        if sha256 and actual and actual != sha256:
            words = "is not the expected file:\n  expected  sha256 %s\n  found     sha256 %s\n"
            return None, words % (sha256, actual)
        try:
            return self._sound(path), None
        except gguf.GgufError as error:
            return None, error.reason

    def _sound(self, path):
        """The GgufInfo of a whole file of the wanted kind; raises GgufError for any other."""
        info = gguf.check(path)
        gguf.require(path, info, self._kind, *self._wanted_part)
        return info

    # ---- doing

    def _fetch(self, source, truth):
        download, fetched = self._from_seed(source, truth) or self._download(source, truth.urls, truth)
        try:
            info = self._sound(self._part)
        except gguf.GgufError as error:
            download.discard()
            raise self._error(
                "what %s sent (%d bytes) %s. It was thrown away" % (host_of(fetched.url), fetched.size, error.reason)
            ) from error
        self.fetched = True
        self._news = {
            "sha256": fetched.sha256,
            "origin": source.origin,
            "placed": True,
            "gguf": _summary(info),
            "revision": truth.revision,
        }

    def _from_seed(self, source, truth):
        """The complete part, from the host that has the file already; None when that did not work."""
        sha256 = source.seed and source.seed.sha256_for(truth, source.origin)
        if not sha256:
            return None
        try:
            urls = [source.seed.url_of(sha256)]
            return self._download(source, urls, truth._replace(sha256=sha256), others_left=True)
        except DownloadFailed as error:
            self._warnings.append(
                "Model %s: %s could not give it, so it is fetched from its origin: %s"
                % (self._name, host_of(source.seed.url), error)
            )
            return None

    def _download(self, source, urls, truth, others_left=False):
        download = Download(
            self._part,
            source.web,
            sha256=truth.sha256,
            size=truth.size,
            progress=self._progress,
            stall_seconds=source.stall_seconds,
        )
        fetched = download.run(urls, others_left)
        self._transferred += fetched.transferred
        return download, fetched

    def _take(self, bundle, name, facts):
        done = 0

        def on_bytes(count):
            nonlocal done
            done += count
            self._progress.update("unpacking", done, facts["bytes"], "bytes")

        bundle.extract_file("models/" + name, self._part, on_bytes)
        info, problem = self._judge(self._part, facts["bytes"], None, None)
        if problem:
            raise self._error("what %s holds %s" % (bundle.path, problem))
        os.replace(self._part, self._path)
        origin = {fact: facts[fact] for fact in ("sha256", "origin", "revision")}
        self._stamp.write(placed=True, gguf=_summary(info), **origin)

    def _hash(self, path):
        size, done = os.path.getsize(path), 0

        def on_bytes(count):
            nonlocal done
            done += count
            self._progress.update("verifying", done, size, "bytes")

        return sha256_of(path, on_bytes)

    @contextlib.contextmanager
    def locked(self):
        self._stamp.make_directory()

        def on_wait(holder):
            self._progress.update("waiting", detail="process %s is working on the same file" % holder)

        with exclusive(self._stamp.lock, on_wait):
            self._stamp = Stamp(self._path)
            yield

    # ---- telling

    def _facts(self):
        if not os.path.lexists(self._path):
            return {}
        size = os.path.getsize(self._path) if os.path.exists(self._path) else None
        return {
            "path": self._path,
            "bytes": size,
            "sha256": self._stamp["sha256"] if self._stamp.holds() else None,
        }

    def _forecast(self, place, source):
        if place is Place.UNREAD:
            return self._result(changed=False, message="would verify the file in place")
        if place is Place.RIGHT:
            return self._result(
                changed=False, message="would ask %s whether it has another one now" % host_of(source.url)
            )
        amount = "%.1f MiB" % (self._size / MIB) if self._size else "it"
        after = {"path": self._path, "bytes": self._size, "sha256": self._sha256}
        return self._result(True, after, "would download %s from %s" % (amount, host_of(source.url)))

    def _result(self, changed, after=None, message=""):
        """What a module returns; None stands for what is not known (yet)."""
        after = self._facts() if after is None else after
        held = self._stamp.holds()
        header = (self._stamp["gguf"] if held else None) or {}
        return {
            "changed": changed,
            "path": self._path,
            "bytes": after.get("bytes"),
            "sha256": after.get("sha256"),
            "architecture": header.get("architecture"),
            "context_length": header.get("context_length"),
            "origin": self._stamp["origin"] if held else None,
            "revision": self._stamp["revision"] if held else None,
            "transferred": self._transferred,
            "verified": bool(held and not (self._check_only and message)),
            "msg": message,
            "warnings": self._warnings,
            "diff": {"before": self._before, "after": after},
        }

    def _demand_checksum(self, known):
        if self._require_checksum and not known:
            raise self._error(
                "no sha256 is known for it, and policy.require_checksums asks for one",
                "Add models.%s.sha256." % self._name,
            )

    def _not_ours(self, problem):
        return self._error(
            "%s %s. It was not put there by this collection and was left as it is" % (self._path, problem),
            "If it is not needed, remove it (rm '%s') and run the play again; else give this model "
            "another filename, or correct its sha256 and bytes." % self._path,
        )

    def _error(self, what_is_wrong, what_to_do=""):
        return LlamaCppError(("Model %s: %s. %s" % (self._name, what_is_wrong, what_to_do)).rstrip())

    @contextlib.contextmanager
    def _plain_errors(self):
        try:
            yield
        except (WebError, DownloadFailed) as error:
            raise LlamaCppError("Model %s: %s" % (self._name, error)) from error
        except OSError as error:
            raise self._error("%s: %s" % (error.filename or self._path, error.strerror)) from error


def _summary(info):
    return {"architecture": info.architecture, "context_length": info.context_length, "parameters": info.parameters}


def _link(target, path):
    temporary = path + ".link"
    _remove(temporary)
    os.symlink(target, temporary)
    os.replace(temporary, path)


def _remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
