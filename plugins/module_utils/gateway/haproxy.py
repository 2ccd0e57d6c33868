# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Talks to a running HAProxy: the process that serves, through its admin socket, and the master above it, which starts
another one with a new configuration, through its own.
"""

from __future__ import annotations

import contextlib
import re
import socket

from ..base.errors import LlamaCppError
from ..base.wait import wait_until

#: The variable in the environment of the process that serves by which its configuration is known.
FINGERPRINT = "LLAMA_CPP_GATEWAY_CONFIGURATION"

#: The same for the unit of systemd by which the master above it was started.
UNIT = "LLAMA_CPP_GATEWAY_UNIT"

#: State of a host that gets nothing new because somebody said so.
MAINTENANCE = "MAINT"

#: Its answer to a question about servers, and the processes in the master's list: the one that serves, and those before
#: it that have answers to end.
SERVERS = "show stat -1 4 -1"
WORKER = re.compile(r"^(\d+)\s+worker\b", re.MULTILINE)

#: How long a command may take, and how long until a new process serves: it has read its configuration, certificates
#: included, and looked up the names of all hosts.
COMMAND_SECONDS, RELOAD_SECONDS = 5, 30

#: How long a service manager may take to have it serve at all.
START_SECONDS = 30


class HAProxy:
    """One gateway.

    :param admin_socket: path of the socket of the process that serves; its configuration names it (``stats socket``).
    :param master_socket: path of the master's (option ``-S``); not needed to ask of hosts.
    """

    def __init__(self, admin_socket, master_socket=None):
        self._admin_socket, self._master_socket = admin_socket, master_socket

    def fingerprint(self):
        """The fingerprint of the configuration that serves; None when nothing serves."""
        return self._environment(FINGERPRINT)

    def restart_is_due(self, unit):
        """Whether it serves, and was started by another unit than ``unit``, a fingerprint."""
        return self._environment(UNIT) not in (None, unit)

    def _environment(self, name):
        try:
            answer = command(self._admin_socket, f"show env {name}")
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
            away = [name for name, state in self._servers().items() if state == MAINTENANCE]
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
        known = self._servers()
        for name in away:  # the new process does not know
            if name in known:
                command(self._admin_socket, f"set server {name} state maint")

    def hosts(self):
        """Name -> {model's backend: state in HAProxy's own words, for example ``UP``, ``DOWN`` or ``MAINT``}."""
        found = {}
        for name, state in self._servers().items():
            backend, _slash, host = name.partition("/")
            found.setdefault(host, {})[backend] = state
        return found

    def running(self, host):
        """How many requests ``host`` has or has waiting, from the process that serves and from those before it."""
        rows = (row for answer in self._of_each_process(SERVERS) for row in _rows(answer) if row["svname"] == host)
        return sum(int(row["scur"] or 0) + int(row["qcur"] or 0) for row in rows)

    def set_state(self, host, state):
        """Put ``host`` into maintenance (``maint``) or out of it (``ready``) for all its models.

        A process before the one that serves still has clients that may ask again, so it is told too.
        """
        for backend in self.hosts()[host]:
            self._of_each_process(f"set server {backend}/{host} state {state}")

    def _servers(self):
        """``backend/host`` -> state."""
        rows = _rows(command(self._admin_socket, SERVERS))
        return {f"{row['pxname']}/{row['svname']}": row["status"] for row in rows}

    def _of_each_process(self, words):
        return [self._ask_master(f"@!{process} {words}") for process in WORKER.findall(self._ask_master("show proc"))]

    def _ask_master(self, words):
        def ask():
            with contextlib.suppress(ConnectionError):  # it does not listen for a moment while a reload replaces it
                return [command(self._master_socket, words)]

        answer = wait_until(ask, COMMAND_SECONDS)
        return answer[0] if answer else command(self._master_socket, words)


def _rows(answer):
    """What HAProxy tells of servers, a dict for each; nothing where the process has just ended."""
    lines = answer.splitlines()
    if not lines or not lines[0].startswith("# pxname"):
        return []
    names = lines[0].lstrip("# ").split(",")
    return [dict(zip(names, line.split(","))) for line in lines[1:] if line]


def command(path, words):
    """What the HAProxy process behind the socket ``path`` answers to one command."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(COMMAND_SECONDS)
        connection.connect(path)
        connection.sendall(words.encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)  # the master waits for another command otherwise
        pieces = []
        while True:
            piece = connection.recv(65536)
            if not piece:
                return b"".join(pieces).decode(errors="replace")
            pieces.append(piece)
