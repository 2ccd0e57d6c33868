# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""One call to a running supervisord: XML-RPC over its Unix socket (supervisord.org/api.html)."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from xml.parsers.expat import ExpatError

from ...base.errors import LlamaCppError

Fault = xmlrpc.client.Fault


TIMEOUT_SECONDS = 10.0


class NoAnswer(LlamaCppError):
    """No supervisord takes the call: no process listens on the socket, or it is silent."""


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(socket_path, method, *arguments):
    """The answer of ``supervisor.<method>(*arguments)``.

    Raises NoAnswer without an answer on ``socket_path`` (also when a dead supervisord left the file behind),
    Fault (``faultCode``, ``faultString``) when supervisord refuses, LlamaCppError when something else answers.
    """
    connection = _SocketConnection(socket_path, TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST",
            "/RPC2",
            xmlrpc.client.dumps(arguments, "supervisor." + method).encode("utf-8"),
            {"Content-Type": "text/xml", "Connection": "close"},
        )
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer("No supervisord answers on %s: %s" % (socket_path, error)) from None
    finally:
        connection.close()
    if response.status != 200:
        raise LlamaCppError("supervisord on %s answered %s with HTTP %d" % (socket_path, method, response.status))
    try:
        return xmlrpc.client.loads(body)[0][0]
    except (ExpatError, xmlrpc.client.ResponseError):
        raise LlamaCppError("what listens on %s is not supervisord: it does not speak XML-RPC" % socket_path) from None
