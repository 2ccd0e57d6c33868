# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a file lies on Hugging Face, and what Hugging Face says about it.

URL form and headers as in huggingface_hub 2.4 (constants.py, file_download.py): a HEAD request to the resolve
URL answers with ``X-Linked-Etag`` (the SHA-256 of a model file), ``X-Linked-Size`` and ``X-Repo-Commit`` before
it redirects to the host that has the bytes. That host's own ETag means something else.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

from ..base.errors import LlamaCppError
from ..net.header_values import whole_number

ENDPOINT = "https://huggingface.co"
MAIN = "main"

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_REPO = re.compile("%s/%s" % (_NAME, _NAME))
_SHA256 = re.compile("[0-9a-f]{64}")
_COMMIT = re.compile("[0-9a-f]{40}")


class Location(NamedTuple):
    """One file in one model repository."""

    repo: str
    file: str
    revision: str = MAIN

    def url(self, endpoint=ENDPOINT):
        """The address of the bytes; raises LlamaCppError when the parts cannot make one."""
        if not _REPO.fullmatch(self.repo):
            raise LlamaCppError("huggingface.repo '%s' has not the form OWNER/NAME." % self.repo)
        quote = urllib.parse.quote
        return "%s/%s/resolve/%s/%s" % (endpoint, self.repo, quote(self.revision, safe=""), quote(self.file))


class Metadata(NamedTuple):
    """What the endpoint says about a file; None for what it does not say."""

    sha256: str | None
    size: int | None
    commit: str | None


def location_of(url, endpoint=ENDPOINT):
    """The Location that a URL of ``endpoint`` names, or None for any other URL."""
    parts = urllib.parse.urlsplit(url)
    base, _, rest = urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")).partition("/resolve/")
    revision, _, file = rest.partition("/")
    repo = base[len(endpoint) + 1 :]
    if not base.startswith(endpoint + "/") or not _REPO.fullmatch(repo) or not file:
        return None
    return Location(repo, urllib.parse.unquote(file), urllib.parse.unquote(revision))


def metadata(web, url):
    """Ask the endpoint about the file at ``url`` without fetching it; raises WebError."""
    with web.open(url, method="HEAD", leave_origin=False) as response:
        headers = response.headers
        redirected = response.status >= 300
    etag = (headers.get("X-Linked-Etag") or ("" if redirected else headers.get("ETag")) or "").strip()
    etag = (etag[2:] if etag.startswith("W/") else etag).strip('"').lower()
    size = headers.get("X-Linked-Size") or ("" if redirected else headers.get("Content-Length"))
    commit = headers.get("X-Repo-Commit") or ""
    return Metadata(
        sha256=etag if _SHA256.fullmatch(etag) else None,
        size=whole_number(size),
        commit=commit if _COMMIT.fullmatch(commit) else None,
    )
