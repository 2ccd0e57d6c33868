# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Talks to a running HAProxy: the process that serves, through its admin socket, and the master above it, which starts
another one with a new configuration, through its own.
"""

from __future__ import annotations

import contextlib
import socket

from ..base.errors import LlamaCppError
from ..base.wait import wait_until

#: The variable in the environment of the process that serves by which its configuration is known.
FINGERPRINT = "LLAMA_CPP_GATEWAY_CONFIGURATION"

#: How long a command may take, and how long until a new process serves: it has read its configuration, certificates
#: included, and looked up the names of all hosts.
COMMAND_SECONDS, RELOAD_SECONDS = 5, 30

#: How long a service manager may take to have it serve at all.
START_SECONDS = 30


class HAProxy:
    """One gateway.

    :param admin_socket: path of the socket of the process that serves; its configuration names it (``stats socket``).
    :param master_socket: path of the master's (option ``-S``).
    """

    def __init__(self, admin_socket, master_socket):
        self._admin_socket, self._master_socket = admin_socket, master_socket

    def fingerprint(self):
        """The fingerprint of the configuration that serves; None when nothing serves."""
        try:
            answer = command(self._admin_socket, f"show env {FINGERPRINT}")
        except OSError:
            return None
        return answer.strip().partition("=")[2]

    def converge(self, wanted, check_only):
        """Have it serve the configuration ``wanted``, a fingerprint; returns whether that takes, or took, a reload.

        :param check_only: only tell. A gateway that does not serve is to be started by its service manager.
        :raises LlamaCppError: it does not serve it.
        """
        serving = self.fingerprint() if check_only else wait_until(self.fingerprint, START_SECONDS)
        if serving == wanted or (serving is None and check_only):
            return False
        if serving is None:
            raise LlamaCppError(
                f"HAProxy does not serve {START_SECONDS} s after its start (nothing answers at {self._admin_socket}). "
                "Its log says why: journalctl -u llama-cpp-gateway, or the file of its service manager."
            )
        if not check_only:
            self.reload(wanted)
        return True

    def reload(self, wanted):
        """Have the master start a process with the configuration in place, and wait until it serves.

        The process before it ends with the last of its answers, and no connection is refused meanwhile.

        :param wanted: the fingerprint of that configuration.
        :raises LlamaCppError: it does not serve in time; what served before goes on.
        """
        try:
            with contextlib.suppress(ConnectionError):  # the master replaces itself before it has answered
                command(self._master_socket, "reload")
        except OSError as error:
            raise LlamaCppError(
                f"HAProxy's master cannot be told to reload at {self._master_socket}: {error.strerror}. What serves "
                "was left as it is. Restart the gateway's service, then run the play again."
            ) from error
        if not wait_until(lambda: self.fingerprint() == wanted, RELOAD_SECONDS):
            raise LlamaCppError(
                f"HAProxy did not take its new configuration within {RELOAD_SECONDS} s; the one before goes on. Its "
                "log says why: journalctl -u llama-cpp-gateway, or the file of its service manager."
            )

    def hosts(self):
        """Name -> {model's backend: state in HAProxy's own words, for example ``UP``, ``DOWN`` or ``MAINT``}."""
        lines = command(self._admin_socket, "show stat -1 4 -1").splitlines()
        names = lines[0].lstrip("# ").split(",")
        found = {}
        for row in (dict(zip(names, line.split(","))) for line in lines[1:] if line):
            found.setdefault(row["svname"], {})[row["pxname"]] = row["status"]
        return found


def command(path, words):
    """What the HAProxy process behind the socket ``path`` answers to one command."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(COMMAND_SECONDS)
        connection.connect(path)
        connection.sendall(words.encode() + b"\n")
        pieces = []
        while True:
            piece = connection.recv(65536)
            if not piece:
                return b"".join(pieces).decode(errors="replace")
            pieces.append(piece)
