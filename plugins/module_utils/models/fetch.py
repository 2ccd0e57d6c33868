# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Brings a model file, complete and proved, beside its place: from the web, from another host, or from a bundle."""

from __future__ import annotations

import contextlib
import os

from ..base.progress import byte_counter
from ..net.download import Download, DownloadFailed
from ..net.http import host_of
from . import gguf
from .installed import summary


class ModelFetch:
    """What is fetched for one :class:`~.model_place.ModelPlace`.

    :param name: the model's name in the configuration, for messages.
    :param part: path of the file that is fetched.
    :param room: the :class:`~.disk_room.DiskRoom` for it.
    :ivar transferred: bytes that came over the network.
    :ivar warnings: what did not work and was made up for.

    What fetches returns the facts to be stamped once the file is in its place, and raises LlamaCppError or WebError.
    """

    def __init__(self, name, part, place, progress, room):
        self._name, self._part = name, part
        self._place, self._progress, self._room = place, progress, room
        self.transferred = 0
        self.warnings = []

    def from_web(self, source, truth):
        """Fetch what ``source``, a WebSource, offers and ``truth`` says."""
        fetched = self._from_seed(source, truth) or self._download(source, truth.urls, truth)
        try:
            info = self._place.sound(self._part)
        except gguf.GgufError as error:
            self.discard()
            raise self._place.error(
                "what %s sent (%d bytes) %s. It was thrown away" % (host_of(fetched.url), fetched.size, error.reason)
            ) from error
        return {
            "sha256": fetched.sha256,
            "origin": source.origin,
            "placed": True,
            "gguf": summary(info),
            "revision": truth.revision,
        }

    def from_bundle(self, bundle, name):
        """Take the model that a Bundle holds under ``name``."""
        facts = bundle.facts["models"][name]
        on_bytes = byte_counter(self._progress, "unpacking", facts["bytes"])
        bundle.extract_file("models/" + name, self._part, on_bytes)
        info, problem = self._place.judge(self._part, facts["bytes"], None, None)
        if problem:
            raise self._place.error("what %s holds %s" % (bundle.path, problem))
        origin = {fact: facts[fact] for fact in ("sha256", "origin", "revision")}
        return {**origin, "placed": True, "gguf": summary(info)}

    def discard(self):
        """Throw away what was fetched, whole or in part."""
        for path in (self._part, self._part + ".json"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def _from_seed(self, source, truth):
        """The complete part, from the host that has the file already; None when that did not work."""
        sha256 = source.sha256_at_seed(truth)
        if not sha256:
            return None
        try:
            urls = [source.seed.url_of(sha256)]
            return self._download(source, urls, truth._replace(sha256=sha256), others_left=True)
        except DownloadFailed as error:
            self.warnings.append(
                "Model %s: %s could not give it, so it is fetched from its origin.\n%s"
                % (self._name, host_of(source.seed.url), error.reasons)
            )
            return None

    def _download(self, source, urls, truth, others_left=False):
        download = Download(
            self._part,
            source.web,
            sha256=truth.sha256,
            size=truth.size,
            progress=self._progress,
            room=self._room,
            stall_seconds=source.stall_seconds,
        )
        fetched = download.run(urls, others_left)
        self.transferred += fetched.transferred
        return fetched
