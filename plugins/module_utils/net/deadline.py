# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Bytes from a connection that come to an end.

The timeout of a socket begins anew with every byte, and a head, a body, or what stands behind one, may have as many as
its sender likes.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time

WHOLE = 2  # times the timeout of the connection, and a head or a body that is read at once has to be there


class TooSlow(socket.timeout):
    """It went on, and was not done in time."""


class Incoming(io.RawIOBase):
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
