# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The process by which this host lets the others of the play fetch what it has: its start and its end."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys

from ..base import processes
from ..base.errors import LlamaCppError
from . import seed_server

LOOPBACK = "127.0.0.1"
LIMIT_SECONDS = 24 * 3600
STOP_SECONDS = 5


def own_address():
    """The address at which this host is managed; loopback when that is no network connection."""
    words = os.environ.get("SSH_CONNECTION", "").split()  # sshd(8): client address and port, server address and port
    return words[2] if len(words) == 4 else LOOPBACK


def start(files, address, idle_seconds):
    """Serve ``files``, as seed_server wants them, on ``address``: the base URL, the token, and the process."""
    listening = _listen(address)
    token = secrets.token_urlsafe(24)
    told = {"files": files, "token": token, "idle_seconds": idle_seconds, "limit_seconds": LIMIT_SECONDS}
    program = seed_server.__loader__.get_source(seed_server.__name__)
    with listening:
        server = subprocess.Popen(
            [sys.executable, "-c", program, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # it outlives this module and its connection
            cwd="/",
        )
        port = listening.getsockname()[1]
    with server.stdin:
        server.stdin.write(json.dumps(told).encode("utf-8"))  # not as an argument: the token is in it
    host = "[%s]" % address if ":" in address else address
    identity = processes.identity(server.pid)
    return "http://%s:%d/" % (host, port), token, {"pid": server.pid, "identity": identity}


def stop(process):
    """End a server that :func:`start` began; whether it still ran."""
    running = process["identity"] is not None and processes.identity(process["pid"]) == process["identity"]
    if running:
        processes.end([process["pid"]], patience=STOP_SECONDS)
    return running


def _listen(address):
    try:
        family, kind, _protocol, _name, where = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.bind(where)
        listening.listen(128)
        return listening
    except (OSError, UnicodeError) as error:  # the second for what is no name
        raise LlamaCppError(
            "the seed cannot listen on %s: %s. Every host does without it. Set llama_cpp_seed_address to an address of "
            "the seed that the other hosts reach." % (address, getattr(error, "strerror", None) or error)
        ) from error
