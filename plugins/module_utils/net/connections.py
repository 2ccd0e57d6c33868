# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The connections of http.client and urllib, with answers that come to an end (deadline.py)."""

from __future__ import annotations

import http.client
import io

from .deadline import Incoming

LARGE_READ = 64 * 1024


class Response(http.client.HTTPResponse):
    """An answer on a connection whose timeout its socket has."""

    def __init__(self, sock, *arguments, **options):
        super().__init__(sock, *arguments, **options)
        self._incoming = Incoming(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._incoming)

    def begin(self):
        with self._incoming.whole_in_time():
            super().begin()

    def read(self, amt=None):
        if amt is not None and amt <= LARGE_READ:
            return super().read(amt)
        with self._incoming.whole_in_time():
            return super().read(amt)

    def read1(self, n=-1):
        if not self.chunked:  # else lines may follow the last piece
            return super().read1(n)
        with self._incoming.whole_in_time():
            return super().read1(n)


class Connection(http.client.HTTPConnection):
    """Answers with :class:`Response`."""

    response_class = Response


class SecureConnection(http.client.HTTPSConnection):
    """Answers with :class:`Response`."""

    response_class = Response
