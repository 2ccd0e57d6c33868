# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Tells a gateway whether this host may be asked: HAProxy's agent check, a line for each connection.

The watchdog knows it from its last look, which is a real answer. It costs the server nothing, however often and by
however many gateways it is asked. Only ``up`` and ``down`` are said: HAProxy's ``drain`` would still let in what is
sticky, and its ``maint`` would have to be taken back by ``ready``, against the person who set it at the gateway.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import socketserver
import threading
import time

from .policy import ANSWERING, SLEEPING, UNCLEAR

#: States in which a server is asked. What cannot be told (a wrong key in the watchdog's hands) is no reason against it.
GOOD = (ANSWERING, SLEEPING, UNCLEAR)
ANSWER_SECONDS = 2


def line(memory, settings, drain_file, now):
    """What HAProxy is told: ``up``, or ``down`` with the reason, which its statistics page shows. HAProxy reads words:
    it knows ``down`` only with a blank behind it, and would take an ``up`` in a reason without the sharp before it.

    :param memory: the :class:`policy.Memory` of the last look. :param now: seconds since 1970.
    """
    if os.path.exists(drain_file):
        return "down #drained on this host; to end it: llm-manager drain --end\n"
    if not memory.looked or now - memory.looked > patience(settings):
        return "down #the watchdog has not looked at the server lately\n"
    return "up\n" if memory.state in GOOD else f"down #{memory.state}\n"


def patience(settings):
    """For how long a look holds: until the next one is over, which asks up to four questions."""
    return 2 * settings.interval + 4 * settings.answer_seconds


class Agent:
    """Listens on ``address`` and ``port``, and answers to ``gateways``, IP addresses, and to nobody else.

    :param answer: returns the line.
    """

    def __init__(self, address, port, gateways, answer):
        self._address, self._answer = (address, port), answer
        self._gateways = {ipaddress.ip_address(gateway) for gateway in gateways}
        self._server = None

    def listen(self):
        """Listen, unless it does so already. Raises OSError when it cannot; it may be tried again."""
        if self._server is None:
            family = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)[0][0]
            server = type("Server", (_Server,), {"address_family": family})(self._address, _Handler)
            server.answer_to = self.answer_to
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self._server = server

    def answer_to(self, peer):
        """The line for ``peer``, the address of one that connected; None for a stranger."""
        address = ipaddress.ip_address(peer.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        return self._answer() if address in self._gateways else None

    @property
    def port(self):
        """The port on which it listens."""
        return self._server.server_address[1]

    def close(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        answer = self.server.answer_to(self.client_address[0])
        if answer:
            self.request.settimeout(ANSWER_SECONDS)
            with contextlib.suppress(OSError):
                self.request.sendall(answer.encode())


def agent_of(section, settings, memory):
    """The :class:`Agent` that the part ``agent`` of the watchdog's configuration asks for.

    :param memory: returns the :class:`policy.Memory` of the last look.
    """

    def answer():
        return line(memory(), settings, section["drain_file"], time.time())

    return Agent(section["address"], section["port"], section["gateways"], answer)
