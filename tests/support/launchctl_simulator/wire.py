# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How the commands reach the simulated launchd: one line of JSON each way over a socket in the state directory."""

import contextlib
import json
import os
import socket

SOCKET = "launchd.sock"


@contextlib.contextmanager
def short_path(directory):
    """The socket's path in ``directory`` as a path that is short enough for a socket, however deep that lies."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield "/proc/self/fd/%d/%s" % (descriptor, SOCKET)
    finally:
        os.close(descriptor)


def listen(directory):
    """A listening socket for the simulated launchd of ``directory``."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, SOCKET))
    with short_path(directory) as path:
        server.bind(path)
    server.listen(32)
    return server


def ask(directory, request, timeout=120):
    """The answer to ``request`` (a dict) as a dict; raises OSError when no simulated launchd runs there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        with short_path(directory) as path:
            client.connect(path)
        client.sendall(json.dumps(request).encode() + b"\n")
        return receive(client)


def receive(connection):
    """One line of JSON from ``connection``."""
    data = b""
    while not data.endswith(b"\n"):
        chunk = connection.recv(65536)
        if not chunk:
            raise OSError("the connection ended in the middle of a message")
        data += chunk
    return json.loads(data)


def send(connection, answer):
    connection.sendall(json.dumps(answer).encode() + b"\n")


def runs(pid):
    """Whether process ``pid`` runs; one that ended but was not collected yet does not."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
