# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a model can be had, and what it must be according to those who know."""

from __future__ import annotations

from typing import NamedTuple

from ..base.addresses import shown
from ..base.errors import LlamaCppError
from ..net.download import STALL_SECONDS
from ..net.http import WebError, host_of
from ..net.retry import Patience
from .huggingface import ENDPOINT, location_of, metadata

UNPROVED_MIRRORS = "Mirrors are given but no sha256, so nothing could prove what they send. Add sha256."


class Truth(NamedTuple):
    """What a file must be, and where it can be had; None for what nobody knows."""

    urls: tuple
    sha256: str | None
    size: int | None
    revision: str | None


class WebSource:
    """A file on the web.

    :param url: its address.
    :param web: a :class:`~.web.Web`.
    :param endpoint: base URL of Hugging Face, or of the server that stands in for it.
    :param mirrors: addresses to try first; one that ends in "/" is a directory with the file under its own name.
    :param seed: a :class:`~.seed.Seed` to ask before all of them.
    """

    def __init__(self, url, web, *, endpoint=ENDPOINT, mirrors=(), seed=None, stall_seconds=STALL_SECONDS):
        for address in (url, *mirrors):
            web.accepted(address)
        self.url, self.origin = url, shown(url)
        self.web, self.stall_seconds = web, stall_seconds
        self._endpoint, self._mirrors = endpoint, mirrors
        self.seed = seed
        self._location = location_of(url, endpoint)

    @property
    def tells_checksum(self):
        """Whether the server can be asked for the SHA-256 before the download."""
        return self._location is not None

    def truth(self, filename, sha256, size, progress):
        """The expected SHA-256 and size: as given, else as Hugging Face tells; its revision is then pinned.

        Raises WebError when Hugging Face cannot be asked, LlamaCppError for mirrors that nothing could prove.
        """
        url, revision = self.url, None
        if self._location and not sha256:
            told = self._ask(progress)
            sha256, size, revision = told.sha256, size or told.size, told.commit
            if revision:
                url = self._location._replace(revision=revision).url(self._endpoint)
        if self._mirrors and not sha256:
            raise LlamaCppError(UNPROVED_MIRRORS)
        mirrors = (mirror + filename if mirror.endswith("/") else mirror for mirror in self._mirrors)
        return Truth((*mirrors, url), sha256, size, revision)

    def sha256_at_seed(self, truth):
        """The SHA-256 of the file at the seed that is the wanted one; None when it is not there."""
        for file in self.seed.files if self.seed else ():
            if truth.sha256 == file["sha256"] or (not truth.sha256 and file["origin"] == self.origin):
                return file["sha256"]
        return None

    def _ask(self, progress):
        patience = Patience(progress=progress)
        while True:
            progress.update("asking for the checksum", detail="from " + host_of(self.url))
            try:
                return metadata(self.web, self.url)
            except WebError as error:
                patience.after(error)
