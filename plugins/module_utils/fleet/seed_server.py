# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Lets other hosts fetch files of this host for as long as they do.

A program of its own without imports from its neighbours: ``seed_process.py`` gives its text to a fresh interpreter,
because the module that starts it is gone a moment later. It gets a listening socket as the descriptor that its
argument names, and on standard input a JSON object:

``files``         {sha256: {path, size, mtime_ns, inode}}; only these are served, at /<sha256>?<token>
``token``         random text; without it nothing is found
``idle_seconds``  it ends by itself when so long nothing was fetched
``limit_seconds`` and after so long in any case

Everyone may connect, so a connection counts for nothing until it has shown the token: there are never more than
STRANGERS of those, a new one takes the place of the oldest, and each has REQUEST_SECONDS for its whole request.
"""

from __future__ import annotations

import contextlib
import hmac
import http.server
import json
import os
import re
import socket
import sys
import threading
import time

POLL_SECONDS = 1.0
SILENT_SECONDS = 60  # a client that takes nothing for so long is gone
PIECE_BYTES = 1024 * 1024
PIECE_SECONDS = 600  # and so is one that takes so long for a piece, less than 2 KiB/s

STRANGERS = 32  # connections that have not shown the token yet
REQUEST_SECONDS = 10  # which they have to in so long
TRANSFERS = 64  # at a time; each takes two descriptors, and many systems give a process 256
PAUSE_SECONDS = 0.1  # after a connection that could not be taken, since it stays in the queue

_RANGE = re.compile(r"bytes=([0-9]{1,18})-")


class SeedServer(http.server.ThreadingHTTPServer):
    """Serves ``files`` on ``listening`` until it is idle."""

    daemon_threads = True
    timeout = POLL_SECONDS

    def __init__(self, listening, files, token):
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.socket.settimeout(POLL_SECONDS)  # who connected may be gone before accept()
        self.files, self.token = files, token
        self._used = time.monotonic()
        self._lock = threading.RLock()
        self._strangers = {}  # connection -> until when it may stay one, the oldest first
        self._transfers = {}  # connection -> until when it must have taken the next piece

    def serve(self, idle_seconds, limit_seconds):
        end = time.monotonic() + limit_seconds
        while time.monotonic() < end and (self._transfers or time.monotonic() - self._used < idle_seconds):
            self.handle_request()
            self.part_with_the_slow()

    def part_with_the_slow(self):
        """End the connections whose time is over."""
        now = time.monotonic()
        with self._lock:
            for waiting in (self._strangers, self._transfers):
                for connection in [connection for connection, until in waiting.items() if until < now]:
                    _hang_up(connection)

    def get_request(self):
        """The next connection. A stranger leaves for it where there are enough of them, or no descriptor is left."""
        try:
            connection, address = super().get_request()
        except OSError:
            self._dismiss_oldest()
            time.sleep(PAUSE_SECONDS)
            raise
        if len(self._strangers) >= STRANGERS:
            self._dismiss_oldest()
        with self._lock:
            self._strangers[connection] = time.monotonic() + REQUEST_SECONDS
        return connection, address

    def _dismiss_oldest(self):
        with self._lock:
            oldest = next(iter(self._strangers), None)
            if oldest:
                del self._strangers[oldest]
                _hang_up(oldest)

    def shutdown_request(self, request):
        with self._lock:
            self._strangers.pop(request, None)
        super().shutdown_request(request)

    @contextlib.contextmanager
    def in_use(self, connection):
        """Keeps the server from being idle while the block runs; yields what is to be called at every piece, or None
        when there are transfers enough."""

        def go_on():
            with self._lock:
                self._transfers[connection] = time.monotonic() + PIECE_SECONDS

        with self._lock:
            taken = len(self._transfers) < TRANSFERS and self._strangers.pop(connection, None) is not None
            if taken:
                go_on()
        try:
            yield go_on if taken else None
        finally:
            with self._lock:
                self._transfers.pop(connection, None)
                self._used = time.monotonic()


def _hang_up(connection):
    """End a connection on which another thread waits: that one closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = SILENT_SECONDS

    def log_message(self, *_):
        pass

    def handle(self):
        with contextlib.suppress(OSError):  # the client left
            super().handle()

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        sha256, _mark, token = self.path[1:].partition("?")
        known = hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode("ascii"))
        wanted = self.server.files.get(sha256) if known else None
        stream = _opened(wanted) if wanted else None
        if stream is None:
            self.send_error(404)
            return
        with stream, self.server.in_use(self.connection) as go_on:
            if go_on:
                self._send(stream, wanted["size"], '"%s"' % sha256, go_on)
            else:
                self.send_error(503)

    def _send(self, stream, size, etag, go_on):
        wanted = _RANGE.fullmatch(self.headers.get("Range") or "")
        first = int(wanted.group(1)) if wanted and self.headers.get("If-Range") in (None, etag) else 0
        if first and first >= size:
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (first, size - 1, size))
        self.send_header("Content-Length", str(size - first))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", etag)
        self.end_headers()
        if self.command == "GET":
            for at in range(first, size, PIECE_BYTES):
                self.connection.sendfile(stream, at, min(PIECE_BYTES, size - at))
                go_on()


def _opened(wanted):
    """The file, if it is still the one that was verified; else None."""
    try:
        stream = open(wanted["path"], "rb")  # noqa: SIM115 - the caller closes it
    except OSError:
        return None
    status = os.fstat(stream.fileno())
    if (status.st_size, status.st_mtime_ns, status.st_ino) == (wanted["size"], wanted["mtime_ns"], wanted["inode"]):
        return stream
    stream.close()
    return None


def main():
    told = json.load(sys.stdin)
    listening = socket.socket(fileno=int(sys.argv[1]))
    SeedServer(listening, told["files"], told["token"]).serve(told["idle_seconds"], told["limit_seconds"])


if __name__ == "__main__":
    main()
