# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Lets other hosts fetch files of this host for as long as they do.

A program of its own without imports from its neighbours: ``seed.py`` gives its text to a fresh interpreter,
because the module that starts it is gone a moment later. It gets a listening socket as the descriptor that its
argument names, and on standard input a JSON object:

``files``         {sha256: {path, size, mtime_ns, inode}}; only these are served, at /<sha256>?<token>
``token``         random text; whoever does not know it finds nothing
``idle_seconds``  it ends by itself when so long nobody fetched anything
``limit_seconds`` and after so long in any case
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

_RANGE = re.compile(r"bytes=([0-9]{1,18})-")


class SeedServer(http.server.ThreadingHTTPServer):
    """Serves ``files`` on ``listening`` until it is idle."""

    daemon_threads = True
    timeout = POLL_SECONDS

    def __init__(self, listening, files, token):
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.files, self.token = files, token
        self._active, self._used, self._lock = 0, time.monotonic(), threading.Lock()

    def serve(self, idle_seconds, limit_seconds):
        end = time.monotonic() + limit_seconds
        while time.monotonic() < end and (self._active or time.monotonic() - self._used < idle_seconds):
            self.handle_request()

    @contextlib.contextmanager
    def in_use(self):
        """Keeps the server from being idle while the block runs."""
        with self._lock:
            self._active += 1
        try:
            yield
        finally:
            with self._lock:
                self._active -= 1
                self._used = time.monotonic()


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
        with stream, self.server.in_use():
            self._send(stream, wanted["size"], '"%s"' % sha256)

    def _send(self, stream, size, etag):
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
            self.connection.sendfile(stream, first, size - first)


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
