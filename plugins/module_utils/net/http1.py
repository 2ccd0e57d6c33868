# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Requests and answers of HTTP/1.1 (RFC 9112) over one connection, as far as a client of llama-server needs them.

http.client reads heads with the package email. To import that takes longer than to start Python, and the commands ask
one question in each run (docs/decisions/0130-a-client-that-starts-fast.md). Downloads use http.client.
"""

from __future__ import annotations

import io
import socket
import sys

from .deadline import Incoming

LONGEST_LINE = 64 * 1024
MOST_HEADERS = 100
LARGE_READ = 64 * 1024
WITHOUT_BODY = (204, 304)


class BadAnswer(Exception):
    """What came is not HTTP."""


class Incomplete(BadAnswer):
    """The connection ended before the answer did."""


class Connection:
    """A connection to ``host`` and ``port``.

    :param timeout: seconds to wait for the connection and, until the socket gets another, for the next bytes.
    :param tls: an ssl.SSLContext, or None for a plain connection.
    :ivar sock: its socket, once :meth:`connect` has returned and until it is closed; else None.
    """

    def __init__(self, host, port, timeout=None, tls=None):
        self._host, self._port, self._timeout, self._tls = host, port, timeout, tls
        self.sock = None

    def connect(self):
        """Raises OSError."""
        host = self._host.encode("ascii") if self._host.isascii() else self._host  # text costs the import of idna
        sock = socket.create_connection((host, self._port), self._timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = self._tls.wrap_socket(sock, server_hostname=self._host) if self._tls else sock
        except BaseException:
            sock.close()
            raise

    def request(self, method, path, body, headers):
        """Send a request; ``body`` is bytes or None. Raises OSError."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        fields = {"Host": f"{host}:{self._port}", **headers}
        if body is not None:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.sock.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b""))

    def getresponse(self):
        """The :class:`Response` to the request. Raises OSError, and BadAnswer when it is not HTTP."""
        return Response(self.sock)

    def close(self):
        """Close it; what is still to be read from a response is lost."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()


class Response:
    """An answer: its head has been read, its body is still to come.

    :ivar status: a number.
    :ivar headers: values by names in lower case.
    :ivar will_close: whether the connection cannot be used for another request.
    """

    def __init__(self, sock):
        self._incoming = Incoming(socket.SocketIO(sock, "r"), sock)
        self._stream = io.BufferedReader(self._incoming)
        with self._incoming.whole_in_time():
            self.status, version, self.headers = self._head()
            while 100 <= self.status < 200:
                self.status, version, self.headers = self._head()
        said = self.headers.get("connection", "").lower()
        self.will_close = "close" in said or (version == "1.0" and "keep-alive" not in said)
        self._body = _Body(self._stream, *self._framing())
        self._reader = io.BufferedReader(self._body, LARGE_READ)
        self.will_close = self.will_close or self._body.until_closed

    def read(self, amount):
        """The rest of the body, but no more than so many bytes. Raises Incomplete, and OSError."""
        pieces = []
        with self._incoming.whole_in_time():
            while amount > 0:
                piece = self._reader.read1(min(amount, LARGE_READ))
                if not piece:
                    break
                pieces.append(piece)
                amount -= len(piece)
        return b"".join(pieces)

    def readline(self, most):
        """The bytes to the next line feed, at most so many; empty at the end. Raises as :meth:`read` does."""
        return self._reader.readline(most)

    def isclosed(self):
        """Whether it was read to the end."""
        return self._body.ended

    def _head(self):
        """(status, version, headers)"""
        words = self._line().split(None, 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise BadAnswer(" ".join(words)[:200] or "it closed the connection")
        headers = {}
        for _ in range(MOST_HEADERS):
            line = self._line()
            if not line:
                return int(words[1]), words[0][5:], headers
            name, colon, value = line.partition(":")
            if not colon:
                raise BadAnswer(f"no header: {line[:200]}")
            headers[name.lower()] = value.strip()
        raise BadAnswer(f"more than {MOST_HEADERS} headers")

    def _line(self):
        line = self._stream.readline(LONGEST_LINE)
        if not line:
            raise ConnectionResetError("it closed the connection without an answer")
        if not line.endswith(b"\n"):
            raise BadAnswer("a line without end")
        return line.decode("latin-1").strip("\r\n")

    def _framing(self):
        """(bytes of the body or None, whether it comes in chunks)"""
        if self.status in WITHOUT_BODY:
            return 0, False
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return None, True
        length = self.headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdigit()):
            raise BadAnswer(f"Content-Length: {length[:200]}")
        return None if length is None else int(length), False


class _Body(io.RawIOBase):
    """The bytes of a body as they come in, by its length, in its chunks, or to the end of the connection."""

    def __init__(self, stream, length, chunked):
        super().__init__()
        self._stream, self._left, self._chunked = stream, 0 if chunked else length, chunked
        self.until_closed = length is None and not chunked
        self.ended = length == 0

    def readable(self):
        return True

    def readinto(self, buffer):
        if self._chunked and not self.ended and not self._left:
            self._left = self._chunk_size()
            self.ended = self._left == 0
        if self.ended:
            return 0
        wanted = len(buffer) if self.until_closed else min(len(buffer), self._left)
        piece = self._stream.read1(wanted)
        buffer[: len(piece)] = piece
        if not self.until_closed:
            if not piece:
                raise Incomplete("it closed the connection in the middle of its answer")
            self._left -= len(piece)
            if self._chunked and not self._left:
                self._line()
            self.ended = not self._left and not self._chunked
        elif not piece:
            self.ended = True
        return len(piece)

    def _chunk_size(self):
        """The size of the next chunk, 0 after the last one, whose trailer is read, too."""
        try:
            size = int(self._line().split(b";")[0].strip() or b"x", 16)
        except ValueError:
            raise BadAnswer("a chunk without a size") from None
        if size < 0:
            raise BadAnswer("a chunk without a size")
        lines = MOST_HEADERS
        while size == 0 and self._line():
            lines -= 1
            if not lines:
                raise BadAnswer("a trailer without end")
        return size

    def _line(self):
        line = self._stream.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise Incomplete("it closed the connection in the middle of its answer")
        return line.strip(b"\r\n")


def was_closed(error):
    """Whether ``error`` tells that the other end has closed the connection, over TLS or not."""
    ssl = sys.modules.get("ssl")  # it is imported where TLS is spoken, and only there
    kinds = (ConnectionError, *((ssl.SSLEOFError, ssl.SSLZeroReturnError) if ssl else ()))
    return isinstance(error, kinds)
