# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a model file comes from, and what it must be as far as that is known there: the web, or a bundle.

These, and the packages of models/package.py, have ``origin``, which is recorded, ``tells_checksum``, and known(),
expected(), forecast(), fetch() and sender().
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ..base.addresses import shown
from ..base.errors import LlamaCppError
from ..base.progress import byte_counter
from ..base.units import MIB
from ..net.download import STALL_SECONDS, Download, DownloadFailed, Fetched
from ..net.http import WebError, host_of
from ..net.retry import Retry
from .huggingface import ENDPOINT, location_of, metadata
from .policy import UNPROVED_MIRRORS


class SourceError(LlamaCppError):
    """The source cannot give the wanted file; the text does not name the model."""


class Expected(NamedTuple):
    """What a file must be, and where it can be had; None for what is not known."""

    sha256: str | None
    size: int | None
    revision: str | None = None
    urls: tuple = ()


class RemoteSource:
    """A file that is fetched: from a seed or a mirror that has it, else from ``origin``, which a subclass asks.

    :param web: a :class:`~..net.http.Web`.
    :param mirrors: addresses to try first; one that ends in "/" is a directory with the file under its own name.
    :param seed: a :class:`~..net.seed.Seed` to ask before all of them.
    """

    tells_checksum = False

    def __init__(self, origin, web, *, mirrors=(), seed=None, stall_seconds=STALL_SECONDS):
        for address in mirrors:
            web.accepted(address)
        self.origin = origin
        self._web, self._stall_seconds = web, stall_seconds
        self._mirrors, self._seed = mirrors, seed

    def known(self, wanted):
        """What is known without asking anyone, as Expected."""
        return Expected(wanted.sha256, wanted.bytes)

    def expected(self, wanted, _progress):
        """The Expected of the file, with its mirrors."""
        return self._with_mirrors(wanted, self.known(wanted))

    def _with_mirrors(self, wanted, expected):
        if self._mirrors and not expected.sha256:
            raise SourceError(UNPROVED_MIRRORS)
        name = os.path.basename(wanted.dest)
        mirrors = (mirror + name if mirror.endswith("/") else mirror for mirror in self._mirrors)
        return expected._replace(urls=(*mirrors, *expected.urls))

    def forecast(self, size):
        """What fetch() would do, for the output of check mode."""
        return "download %s from %s" % ("%.1f MiB" % (size / MIB) if size else "it", self.host)

    def fetch(self, part, expected, progress, reservation, warn):
        """Have ``part`` complete, as Fetched. What failed without consequence goes to ``warn``."""

        def download(urls, sha256, others_left=False):
            download = Download(
                part,
                self._web,
                sha256=sha256,
                size=expected.size,
                progress=progress,
                reservation=reservation,
                stall_seconds=self._stall_seconds,
            )
            return download.run(urls, others_left)

        at_seed = self._sha256_at_seed(expected)
        if at_seed:
            try:
                return download([self._seed.url_of(at_seed)], at_seed, others_left=True)
            except DownloadFailed as error:
                host = host_of(self._seed.url)
                warn("%s could not give it, so it is fetched from its origin.\n%s" % (host, error.reasons))
        fetched = self._fetch_from_origin(download, part, expected, progress, reservation, warn)
        if self._web.refusal:
            warn("%s It was fetched without the token." % self._web.refusal)
        return fetched

    def sender(self, fetched):
        """Who sent a file, for messages."""
        return host_of(fetched.url)

    def _sha256_at_seed(self, expected):
        """The SHA-256 of the file at the seed that is the wanted one; None when the seed does not have it."""
        for file in self._seed.files if self._seed else ():
            if expected.sha256 == file["sha256"] or (not expected.sha256 and file["origin"] == self.origin):
                return file["sha256"]
        return None


class WebSource(RemoteSource):
    """A file on the web.

    :param url: its address.
    :param endpoint: base URL of Hugging Face, or of the server that stands in for it.

    The other parameters are those of :class:`RemoteSource`.
    """

    def __init__(self, url, web, *, endpoint=ENDPOINT, **remote):
        web.accepted(url)
        super().__init__(shown(url), web, **remote)
        self._url, self._endpoint = url, endpoint
        self._location = location_of(url, endpoint)

    @property
    def tells_checksum(self):
        """Whether the server can be asked for the SHA-256 before the download."""
        return self._location is not None

    @property
    def host(self):
        return host_of(self._url)

    def expected(self, wanted, progress):
        """As configured, else as Hugging Face tells, whose revision is then pinned."""
        url, sha256, size, revision = self._url, wanted.sha256, wanted.bytes, None
        if self._location and not sha256:
            told = self._ask(progress)
            sha256, size, revision = told.sha256, size or told.size, told.commit
            if revision:
                url = self._location._replace(revision=revision).url(self._endpoint)
        return self._with_mirrors(wanted, Expected(sha256, size, revision, (url,)))

    @staticmethod
    def _fetch_from_origin(download, _part, expected, *_):
        return download(expected.urls, expected.sha256)

    def _ask(self, progress):
        retry = Retry(progress=progress)
        while True:
            progress.update("asking for the checksum", detail="from " + self.host)
            try:
                return metadata(self._web, self._url)
            except WebError as error:
                retry.after(error)


class BundleSource:
    """The file ``name`` of a Bundle (offline/bundle.py), as if it came from where the bundle's maker had it from."""

    tells_checksum = False  # there is nothing to ask again

    def __init__(self, bundle, name):
        self._bundle, self._name = bundle, name
        facts = bundle.facts["models"][name]
        self.origin = facts["origin"]
        self._expected = Expected(facts["sha256"], facts["bytes"], facts["revision"])

    def known(self, wanted):
        found = self._expected
        if wanted.sha256 not in (None, found.sha256):
            words = "%s in %s is not the expected file:\n  expected  sha256 %s\n  found     sha256 %s\n"
            raise SourceError(words % (self._name, self._bundle.path, wanted.sha256, found.sha256))
        if wanted.bytes not in (None, found.size):
            words = "%s in %s has %d bytes; %d are expected"
            raise SourceError(words % (self._name, self._bundle.path, found.size, wanted.bytes))
        return found

    def expected(self, wanted, _progress):
        return self.known(wanted)

    def forecast(self, _size):
        return "take it from " + self._bundle.path

    def fetch(self, part, expected, progress, _reservation, _warn):
        on_bytes = byte_counter(progress, "unpacking", expected.size)
        self._bundle.extract_file("models/" + self._name, part, on_bytes)
        return Fetched(os.path.getsize(part), expected.sha256, self._bundle.path, 0)

    def sender(self, fetched):
        return fetched.url
