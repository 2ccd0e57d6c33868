# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The connections of one client to its server, in use and, where they are kept, between two requests."""

from __future__ import annotations

import contextlib
import socket
import time
from _thread import allocate_lock  # threading.Lock, without the rest of that module: the commands have to start fast

from .http1 import was_closed
from .peer import peek

#: A connection is looked at before it is used again if it was idle for longer; a look takes a while, too.
UNSEEN_SECONDS = 1.0


class Connections:
    """Lends each connection (http1.py) to one request at a time; threads may share it.

    :param keep: use a connection for another request when its answer was read to the end.
    """

    def __init__(self, keep):
        self._keep = keep
        self._lock = allocate_lock()
        self._idle, self._lent, self._closed = [], set(), False

    @contextlib.contextmanager
    def response(self, connect, send):
        """Lend the response to one request.

        :param connect: makes a connection.
        :param send: sends the request over a connection and returns the response. It is called again, with a new
            connection, where a kept one turns out to be closed: not even the head of an answer came over that.
        """
        connection, response = self._exchange(connect, send)
        try:
            yield response
        finally:
            self._put_back(connection, self._keep and response.isclosed() and not response.will_close)

    def _exchange(self, connect, send):
        kept = self._take()
        if kept:
            try:
                return kept, self._send_over(kept, send)
            except OSError as error:
                if not was_closed(error):
                    raise
        connection = connect()
        return connection, self._send_over(connection, send)

    def _send_over(self, connection, send):
        try:
            with self._lock:
                if self._closed:
                    raise ConnectionAbortedError("the client is closed")
                self._lent.add(connection)
            return send(connection)
        except BaseException:
            self._put_back(connection, usable=False)
            raise

    def _take(self):
        """The idle connection that was used last, of those that seem open; None when there is none."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection, since = self._idle.pop()
            if time.monotonic() - since < UNSEEN_SECONDS:
                return connection
            with contextlib.suppress(OSError):
                if peek(connection.sock) is None:  # else it is closed, or holds bytes of no answer
                    return connection
            connection.close()

    def _put_back(self, connection, usable):
        with self._lock:
            self._lent.discard(connection)
            if usable and connection.sock is not None and not self._closed:
                self._idle.append((connection, time.monotonic()))
                return
        connection.close()

    def close(self):
        """Close all of them for good; a request in flight gets an error instead of the rest of its answer."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for connection in self._lent:
                with contextlib.suppress(OSError, AttributeError):  # it may be closed at this moment
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # beneath TLS, which may be in use
        for connection, _since in idle:
            connection.close()
