# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""RPC workers: llama.cpp's ggml-rpc-server, asked over its own protocol whether it is there and what it offers.

Wire format (ggml/src/ggml-rpc/ggml-rpc.cpp of llama.cpp 0c1e570, protocol 7), little-endian: a request is a command (1
byte), the size of what follows (8 bytes), and that; a reply is a size and what it says. The first command of a
connection is HELLO, with 24 bytes of capabilities of which none set means plain TCP. It has the same number in every
version; the others are known of this one.

A worker serves one connection after the other. While a server has one open, another is neither refused nor answered;
the kernel keeps a few of them waiting and drops the rest. So silence is no sign that a worker is gone, and a worker in
use is not to be asked.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from typing import NamedTuple

from ..base.errors import LlamaCppError
from ..base.units import MIB

PROGRAM = "ggml-rpc-server"

#: The protocol of which the other commands are known.
PROTOCOL = 7

HELLO, DEVICE_COUNT, GET_DEVICE_MEMORY = 14, 15, 11
HELLO_BYTES = 24
MOST_DEVICES = 64

#: For each step: the connection, and every reply.
SECONDS = 2.0

LOCAL_NETWORK = (
    "; on macOS this is also what an agent meets that may not use the local network (System Settings, Privacy & "
    'Security, Local Network), and service.scope "system" does not'
)


class NoWorker(LlamaCppError):
    """No worker answers at an address; the text says why, without the address."""


class Worker(NamedTuple):
    """What a worker says of itself."""

    protocol: tuple  # its version: major, minor, patch
    memory: tuple  # MiB of each of its devices, as --tensor-split counts them; empty where it speaks another protocol


def ask(endpoint, seconds=SECONDS):
    """The :class:`Worker` at ``endpoint`` ("address:port"). Raises NoWorker."""
    host, _colon, port = endpoint.rpartition(":")
    try:
        with contextlib.closing(_connected(host, int(port), seconds)) as connection:
            try:
                return _told(connection)
            except socket.timeout:
                _take_back(connection)
                raise
    except socket.timeout:
        raise NoWorker(
            f"it does not answer within {seconds:g} s; another server may be using it, since a worker serves one at a "
            "time"
        ) from None
    except ConnectionError:
        raise NoWorker("it ends the connection: it is no worker, or one of another llama.cpp") from None


def why_missing(endpoint):
    """Why the worker at ``endpoint`` cannot be used, in words that begin with its address; None when it can."""
    try:
        ask(endpoint)
    except NoWorker as failure:
        return f"{endpoint}: {failure}"
    return None


def _connected(host, port, seconds):
    try:
        return socket.create_connection((host, port), seconds)
    except socket.timeout:
        raise NoWorker(f"no connection within {seconds:g} s") from None
    except OSError as error:
        hint = LOCAL_NETWORK if error.errno == errno.EHOSTUNREACH else ""
        raise NoWorker(f"{error.strerror or error}{hint}") from None


def _take_back(connection):
    """Have the kernel forget what was asked. A worker that replies to it later, when no one listens, would end by
    SIGPIPE; of a connection that was reset it is told so.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _told(connection):
    protocol = struct.unpack("<3B", _reply(connection, HELLO, bytes(HELLO_BYTES), 4 + HELLO_BYTES)[:3])
    if protocol[0] != PROTOCOL:
        return Worker(protocol, ())
    (count,) = struct.unpack("<I", _reply(connection, DEVICE_COUNT, b"", 4))
    if not 1 <= count <= MOST_DEVICES:
        raise NoWorker(f"it offers {count} devices")
    numbers = (struct.pack("<I", number) for number in range(count))
    memory = [struct.unpack("<QQ", _reply(connection, GET_DEVICE_MEMORY, number, 16))[1] for number in numbers]
    return Worker(protocol, tuple(size // MIB for size in memory))


def _reply(connection, command, payload, size):
    """What is said to ``command``, which has to be ``size`` bytes."""
    connection.sendall(struct.pack("<BQ", command, len(payload)) + payload)
    (found,) = struct.unpack("<Q", _received(connection, 8))
    if found != size:
        raise NoWorker("it is no worker, or one of another llama.cpp")
    return _received(connection, size)


def _received(connection, size):
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data
