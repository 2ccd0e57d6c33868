# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The fault server speaks HTTP properly, and misbehaves exactly as told, once for each fault."""

import http.client
import shutil
import ssl

import pytest
from support.fault_server import Fault, FaultServer, self_signed

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def server():
    with FaultServer() as running:
        yield running


def ask(server, headers=None, method="GET", path="/file", timeout=5):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout)
    connection.request(method, path, headers=headers or {})
    return connection.getresponse()


def test_a_file_comes_whole_with_length_and_etag(server):
    server.serve("/file", CONTENT, etag='"one"')
    answer = ask(server)
    assert (answer.status, answer.read()) == (200, CONTENT)
    assert (answer.headers["ETag"], answer.headers["Content-Length"]) == ('"one"', str(len(CONTENT)))
    assert server.sent == len(CONTENT)


def test_a_range_comes_from_there_on(server):
    server.serve("/file", CONTENT, etag='"one"')
    for headers in ({"Range": "bytes=1000-"}, {"Range": "bytes=1000-", "If-Range": '"one"'}):
        answer = ask(server, headers)
        assert (answer.status, answer.read()) == (206, CONTENT[1000:])
        assert answer.headers["Content-Range"] == "bytes 1000-%d/%d" % (len(CONTENT) - 1, len(CONTENT))


def test_another_etag_gets_everything(server):
    server.serve("/file", CONTENT, etag='"two"')
    answer = ask(server, {"Range": "bytes=1000-", "If-Range": '"one"'})
    assert (answer.status, answer.read()) == (200, CONTENT)


def test_a_range_behind_the_end_is_416(server):
    server.serve("/file", CONTENT)
    answer = ask(server, {"Range": "bytes=%d-" % len(CONTENT)})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */%d" % len(CONTENT))


def test_head_has_the_headers_and_no_content(server):
    server.serve("/file", CONTENT, headers=[("X-Linked-Size", "7")])
    answer = ask(server, method="HEAD")
    assert (answer.headers["X-Linked-Size"], answer.read()) == ("7", b"")


def test_unknown_paths_are_404_and_requests_are_kept(server):
    assert ask(server, {"Authorization": "Bearer x"}, path="/none?sig=1").status == 404
    assert [(request.path, request.headers["authorization"]) for request in server.requests] == [("/none", "Bearer x")]


def test_a_status_comes_with_its_headers_and_only_once(server):
    server.serve("/file", CONTENT, faults=[Fault(status=503, headers=[("Retry-After", "7")])])
    answer = ask(server)
    assert (answer.status, answer.headers["Retry-After"], answer.read()) == (503, "7", b"")
    assert ask(server).status == 200


def test_range_faults(server):
    server.serve("/file", CONTENT, faults=[Fault(ignore_range=True), Fault(wrong_range=True)])
    assert ask(server, {"Range": "bytes=1000-"}).status == 200
    answer = ask(server, {"Range": "bytes=1000-"})
    assert (answer.status, answer.headers["Content-Range"].split("-")[0]) == (206, "bytes 999")


def test_wrong_length(server):
    server.serve("/file", CONTENT, faults=[Fault(claim=len(CONTENT) + 10)])
    with pytest.raises(http.client.IncompleteRead):
        ask(server).read()


def test_no_length(server):
    server.serve("/file", CONTENT, faults=[Fault(no_length=True)])
    answer = ask(server)
    assert (answer.headers["Content-Length"], answer.read()) == (None, CONTENT)


def test_wrong_bytes(server):
    server.serve("/file", CONTENT, faults=[Fault(wrong_bytes=True)])
    received = ask(server).read()
    assert (len(received), received[0]) == (len(CONTENT), CONTENT[0] ^ 0xFF)


def test_close_too_early(server):
    server.serve("/file", CONTENT, faults=[Fault(close_after=1000)])
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(server).read()
    assert caught.value.partial == CONTENT[:1000]


def test_reset(server):
    server.serve("/file", CONTENT, faults=[Fault(reset_after=0)])
    with pytest.raises(OSError):
        ask(server).read()


def test_stall(server):
    server.serve("/file", CONTENT, faults=[Fault(stall_after=1000)])
    answer = ask(server, timeout=0.3)
    assert answer.read(1000) == CONTENT[:1000]
    with pytest.raises(OSError):
        answer.read(1)


def test_drip(server):
    server.serve("/file", CONTENT, faults=[Fault(drip_after=1000)])
    answer = ask(server)
    assert answer.read(1005) == CONTENT[:1005]
    assert server.sent < 2000


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_tls(tmp_path):
    certificate, key = self_signed(tmp_path)
    with FaultServer(tls=(certificate, key)) as server:
        server.serve("/file", CONTENT)
        trusting = ssl.create_default_context(cafile=certificate)
        for context in (ssl.create_default_context(), trusting):
            connection = http.client.HTTPSConnection("localhost", server.port, timeout=5, context=context)
            if context is trusting:
                connection.request("GET", "/file")
                assert connection.getresponse().read() == CONTENT
            else:
                with pytest.raises(ssl.SSLCertVerificationError):
                    connection.request("GET", "/file")
        assert server.url("/file").startswith("https://")
