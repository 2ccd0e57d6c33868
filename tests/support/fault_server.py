# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A file server on loopback that speaks proper HTTP (Range, If-Range, ETag) until it is told to misbehave.

Each path has its content and a queue of faults: every request for it takes the next one, and behaves well when
none is left. What was asked for is kept in :attr:`FaultServer.requests`, and how many bytes of content went out
in :attr:`FaultServer.sent`. It is as fast as it can until it gets a :attr:`FaultServer.pace`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import socket
import ssl
import struct
import subprocess
import threading
from typing import NamedTuple

SLICE = 16 * 1024


class Fault(NamedTuple):
    """One way to misbehave. ``after`` counts bytes of the answer's body."""

    status: int | None = None  # answer with this status and no content …
    headers: tuple = ()  # … and with these headers on top
    ignore_range: bool = False  # 200 and everything, whatever was asked for
    wrong_range: bool = False  # 206 with another piece than the one asked for
    claim: int | None = None  # a Content-Length of this many bytes
    no_length: bool = False  # no Content-Length; the end of the connection is the end
    reset_after: int | None = None  # then cut the connection the hard way
    close_after: int | None = None  # then close it politely, too early
    stall_after: int | None = None  # then say nothing more, until the client gives up
    drip_after: int | None = None  # then one byte at a time, slowly
    wrong_bytes: bool = False  # the right number of other bytes


class Request(NamedTuple):
    method: str
    path: str
    headers: dict  # names in lower case
    query: str = ""


class _File:
    def __init__(self, content, etag, headers, faults):
        self.content = content
        self.etag = etag if etag is not None else '"%s"' % hashlib.md5(content).hexdigest()
        self.headers = headers
        self.faults = list(faults)


def self_signed(directory):
    """Paths of a certificate for localhost and of its key, made in ``directory`` by the openssl command."""
    certificate, key = str(directory / "certificate.pem"), str(directory / "key.pem")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *names, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


class FaultServer:
    """A context manager; serves while the block runs, over TLS if ``tls`` names a certificate and a key file.

    >>> with FaultServer() as server:
    ...     server.serve("/model.gguf", b"...", faults=[Fault(reset_after=1)])
    ...     server.url("/model.gguf")
    """

    def __init__(self, tls=None):
        self.requests = []
        self.sent = 0
        self.pace = 0  # seconds between two slices of content
        self._files = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        server = self

        class Handler(_Handler):
            faulty = server

        self._httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._httpd.daemon_threads = True
        self._scheme = "http"
        if tls:
            self._scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            # The handshake is left to the thread of the request: a client that refuses it must not end the server.
            self._httpd.socket = context.wrap_socket(
                self._httpd.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._httpd.server_address[1]

    def __enter__(self):
        self._thread = threading.Thread(target=self._httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._httpd.shutdown()
        self._thread.join()
        self._httpd.server_close()

    def url(self, path, host="127.0.0.1"):
        return "%s://%s:%d%s" % (self._scheme, host, self.port, path)

    def serve(self, path, content, *, etag=None, headers=(), faults=()):
        """Have ``content`` at ``path``. ``etag`` "" sends none; ``headers`` are (name, value) pairs."""
        with self._lock:
            self._files[path] = _File(content, etag, headers, faults)

    def requests_for(self, path):
        return [request for request in self.requests if request.path == path]

    # ---- for the handler

    def take(self, path):
        """The file at ``path`` and the fault that this request meets."""
        with self._lock:
            file = self._files.get(path)
            return file, (file.faults.pop(0) if file and file.faults else Fault())

    def count(self, sent):
        with self._lock:
            self.sent += sent

    def rest(self, seconds=None):
        """Do nothing for so long, or until the server ends."""
        return self._over.wait(seconds)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faulty = None

    def handle(self):
        with contextlib.suppress(OSError):  # the client left, or did not like our certificate
            super().handle()

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path, _mark, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.faulty.requests.append(Request(self.command, path, headers, query))
        self.close_connection = True
        file, fault = self.faulty.take(path)
        if file is None:
            self._start(404, [("Content-Length", "0")])
        elif fault.status:
            self._start(fault.status, [("Content-Length", "0"), *file.headers, *fault.headers])
        else:
            first, status = self._first_byte(file, fault)
            if status == 416:
                self._start(416, [("Content-Length", "0"), ("Content-Range", "bytes */%d" % len(file.content))])
            else:
                self._send_file(file, fault, first, status)

    def _first_byte(self, file, fault):
        wanted = re.match(r"^bytes=(\d+)-$", self.headers.get("Range") or "")
        vouched = self.headers.get("If-Range") in (None, file.etag)
        if not wanted or not vouched or fault.ignore_range:
            return 0, 200
        first = int(wanted.group(1))
        return first, 206 if first < len(file.content) else 416

    def _send_file(self, file, fault, first, status):
        if fault.wrong_range:
            first = max(0, first - 1)
        body = file.content[first:]
        if fault.wrong_bytes:
            body = bytes(byte ^ 0xFF for byte in body)
        headers = [*file.headers, *fault.headers]
        if not fault.no_length:
            headers.append(("Content-Length", str(len(body) if fault.claim is None else fault.claim)))
        if file.etag:
            headers.append(("ETag", file.etag))
        if status == 206:
            size = len(file.content)
            headers.append(("Content-Range", "bytes %d-%d/%d" % (first, size - 1, size)))
        self._start(status, headers)
        if self.command == "HEAD":
            return
        limits = (fault.reset_after, fault.close_after, fault.stall_after, fault.drip_after)
        end = min([limit for limit in limits if limit is not None], default=len(body))
        self._send(body[:end])
        if fault.stall_after is not None:
            self._wait_for_client_to_leave()
        elif fault.drip_after is not None:
            for place in range(end, len(body)):
                if self.faulty.rest(0.02):
                    return
                self._send(body[place : place + 1])
        elif fault.reset_after is not None:
            # SO_LINGER with 0 seconds: the kernel answers with RST and forgets what was not sent yet.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _start(self, status, headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, body):
        with contextlib.suppress(OSError):  # the client left
            for place in range(0, len(body), SLICE):
                self.faulty.count(len(body[place : place + SLICE]))
                self.wfile.write(body[place : place + SLICE])
                if self.faulty.pace:
                    self.faulty.rest(self.faulty.pace)

    def _wait_for_client_to_leave(self):
        self.connection.settimeout(0.05)
        while not self.faulty.rest(0):
            try:
                if not self.connection.recv(1):
                    return
            except socket.timeout:
                continue
            except OSError:
                return
