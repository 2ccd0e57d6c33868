# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""When the time for a whole answer is over, nothing more of it is waited for."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net import connections, deadline, http1
from support.scripted_server import SILENCE, ScriptedServer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize("pieces", [[b"HTTP/1.1 2"], [HEAD, b"abc"]], ids=["head", "body"])
@pytest.mark.parametrize("kind", [http1.Connection, connections.Connection])
def test_silence_ends_with_the_time_for_all_and_not_later(monkeypatch, kind, pieces):
    monkeypatch.setattr(deadline, "WHOLE", 0.01)
    with ScriptedServer(*pieces, SILENCE) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        connection = kind(host, int(port), timeout=10)
        connection.connect()
        connection.request("GET", "/", None, {})
        with pytest.raises(deadline.TooSlow):
            connection.getresponse().read(100000)
        assert connection.sock.gettimeout() == 10
        connection.close()
