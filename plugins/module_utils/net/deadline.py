# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""HTTP connections whose answers come to an end.

The timeout of a socket begins anew with every byte, and a head, a body, or what stands behind one, may have as many as
its sender likes.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import time

WHOLE = 2  # times the timeout of the connection, and a head or a body that is read at once has to be there
LARGE_READ = 64 * 1024


class TooSlow(socket.timeout):
    """It went on, and was not done in time."""


class _Incoming(io.RawIOBase):
    """The bytes that come in on ``sock``, read through ``raw``; inside :meth:`whole_in_time` they have to be there."""

    def __init__(self, raw, sock):
        super().__init__()
        self._raw, self._socket, self._end = raw, sock, None

    def readable(self):
        return True

    def readinto(self, buffer):
        patience, left = self._socket.gettimeout(), self._left()
        if patience is None or left >= patience:
            return self._raw.readinto(buffer)
        try:
            self._socket.settimeout(max(left, 0.001))  # 0 would mean not to wait, which is another error
            return self._raw.readinto(buffer)
        except socket.timeout as error:
            raise TooSlow("not done in time") from error
        finally:
            self._socket.settimeout(patience)

    def _left(self):
        """Seconds until the end."""
        if self._end is None:
            return float("inf")
        left = self._end - time.monotonic()
        if left <= 0:
            raise TooSlow("not done in time")
        return left

    @contextlib.contextmanager
    def whole_in_time(self):
        """All that is read in the block has to be there after WHOLE times the timeout of the socket."""
        patience = self._socket.gettimeout()
        self._end = None if patience is None else time.monotonic() + WHOLE * patience
        try:
            yield
        finally:
            self._end = None

    def close(self):
        self._raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer on a connection whose timeout its socket has; see the module."""

    def __init__(self, sock, *arguments, **options):
        super().__init__(sock, *arguments, **options)
        self._incoming = _Incoming(self.fp.detach(), sock)
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
    """See the module."""

    response_class = Response


class SecureConnection(http.client.HTTPSConnection):
    """See the module."""

    response_class = Response
