# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""HTTP connections whose answers come to an end.

The timeout of a socket begins anew with every byte, and a head, a body, or what stands behind one, may have as many as
its sender likes.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading

WHOLE = 2  # times the timeout of the connection, and a head or a body that is read at once has to be there
LARGE_READ = 64 * 1024


class TooSlow(socket.timeout):
    """It went on, and was not done in time."""


@contextlib.contextmanager
def ended_after(seconds, connection):
    """Shut ``connection``, a connected socket, down when the block still runs after ``seconds``; None: never.

    Raises TooSlow then, instead of what came of that in the block.
    """
    over = threading.Event()

    def end():
        over.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # beneath TLS, with which the block is busy

    timer = threading.Timer(seconds or 0, end)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield
    except Exception as error:
        if over.is_set():
            raise TooSlow(f"not done within {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
    if over.is_set():
        raise TooSlow(f"not done within {seconds:g} s")


class Response(http.client.HTTPResponse):
    """An answer on a connection whose timeout its socket has; see the module."""

    def __init__(self, sock, *arguments, **options):
        super().__init__(sock, *arguments, **options)
        self._socket = sock

    def read(self, amt=None):
        if amt is not None and amt <= LARGE_READ:
            return super().read(amt)
        with self._in_time():
            return super().read(amt)

    def read1(self, n=-1):
        if not self.chunked:  # else lines may follow the last piece
            return super().read1(n)
        with self._in_time():
            return super().read1(n)

    def _in_time(self):
        patience = self._socket.gettimeout()
        return ended_after(patience and WHOLE * patience, self._socket)


class _HeadInTime:
    response_class = Response

    def getresponse(self):
        patience = self.sock.gettimeout()
        with ended_after(patience and WHOLE * patience, self.sock):
            return super().getresponse()


class Connection(_HeadInTime, http.client.HTTPConnection):
    """See the module."""


class SecureConnection(_HeadInTime, http.client.HTTPSConnection):
    """See the module."""
