# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A server on loopback that answers every request with the very bytes it was given, in the pieces it was given."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CLOSE = object()  # a piece: close the connection now
SILENCE = object()  # a piece: say nothing until the client has gone


class ScriptedServer:
    """``with ScriptedServer(*pieces) as server``: ``server.url``, and what was asked in ``server.requests``.

    Each piece goes out in a packet of its own; one that can be called is called instead. ``certificate`` is a PEM
    file with key and certificate, for TLS.
    """

    def __init__(self, *pieces, certificate=None):
        self.requests = []
        self._over = False
        self._pieces = pieces
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self._thread = threading.Thread(target=self._serve)
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *failure):
        self._over = True
        socket.create_connection(self._listener.getsockname()).close()  # wakes the thread from accept() everywhere
        self._thread.join()
        self._listener.close()

    def _serve(self):
        while True:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(OSError):  # the client may go away
                if self._over:
                    return
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._answer(self._tls.wrap_socket(connection, server_side=True) if self._tls else connection)

    def _answer(self, connection):
        self.requests.append(read_request(connection))
        for piece in self._pieces:
            if piece is CLOSE:
                return
            if piece is SILENCE:
                connection.recv(1)
                return
            if callable(piece):
                piece()
            else:
                connection.sendall(piece)


def read_request(connection):
    """The request as (first line, headers with lower-case names, body)."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            raise OSError("no whole request")
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return first, headers, body


def response(status, body, content_type="application/json"):
    """A whole HTTP response."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def event_stream(*chunks):
    """The pieces of a chunked ``text/event-stream`` response, one chunk per piece."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks), b"0\r\n\r\n"]


def self_signed(directory, name=None):
    """The paths of ``server.pem`` (key and certificate) and ``ca.pem``, written into ``directory``.

    The certificate is for the host ``name``, or for 127.0.0.1.
    """
    host = x509.DNSName(name) if name else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "scripted server")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (directory / "server.pem").write_bytes(private + public)
    (directory / "ca.pem").write_bytes(public)
    return directory / "server.pem", directory / "ca.pem"
