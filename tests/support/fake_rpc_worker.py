# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A stand-in for ggml-rpc-server that answers what a test wants, one connection after the other like the real one."""

import contextlib
import socket
import struct
import threading

MIB = 1 << 20


def reply(data):
    return struct.pack("<Q", len(data)) + data


def hello(major=7):
    return reply(bytes([major, 0, 0, 0]) + bytes(24))


def memory(*sizes):
    """The answers of a worker with devices of so many MiB."""
    devices = [reply(struct.pack("<QQ", 0, size * MIB)) for size in sizes]
    return [hello(), reply(struct.pack("<I", len(sizes))), *devices]


@contextlib.contextmanager
def rpc_worker(answers, host="127.0.0.1", port=0):
    """The endpoint of a worker that gives these ``answers`` in each connection, and then ends it.

    None as an answer is silence until the other side goes.
    """
    with socket.create_server((host, port)) as listener:
        threading.Thread(target=_serve, args=(listener, answers), daemon=True).start()
        try:
            yield f"{host}:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener, answers):
    with contextlib.suppress(OSError):
        while True:
            connection, _peer = listener.accept()
            with connection, contextlib.suppress(OSError):
                for answer in answers:
                    head = connection.recv(9, socket.MSG_WAITALL)
                    if len(head) < 9:
                        break
                    connection.recv(struct.unpack("<BQ", head)[1], socket.MSG_WAITALL)
                    if answer is None:
                        connection.recv(1)
                    else:
                        connection.sendall(answer)
