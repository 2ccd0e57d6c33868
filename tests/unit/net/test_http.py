# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Requests: redirects, proxies, and above all where the token does not go."""

import socket
import time
from email.utils import formatdate

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.net import http
from support.fault_server import Fault, FaultServer
from support.scripted_server import ScriptedServer

TOKEN = "hf_secret"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    with FaultServer() as running:
        running.serve("/file", b"content")
        yield running


@pytest.fixture
def other():
    with FaultServer() as running:
        running.serve("/file", b"elsewhere")
        yield running


def redirect(target, status=302):
    return Fault(status=status, headers=[("Location", target)])


def tokens(server):
    return [request.headers.get("authorization") for request in server.requests]


def test_a_file_is_asked_for_as_it_is(server):
    with http.Web().open(server.url("/file"), {"Range": "bytes=3-"}) as answer:
        assert (answer.status, answer.read()) == (206, b"tent")
    assert server.requests[0].headers["accept-encoding"] == "identity"
    assert tokens(server) == [None]


def test_the_token_goes_to_its_origin(server):
    http.Web(TOKEN, server.url("")).open(server.url("/file")).close()
    assert tokens(server) == ["Bearer " + TOKEN]


def test_the_token_does_not_go_to_another_port(server, other):
    http.Web(TOKEN, server.url("")).open(other.url("/file")).close()
    assert tokens(other) == [None]


@pytest.mark.parametrize("status", http.REDIRECTS)
def test_the_token_does_not_follow_a_redirect_to_another_origin(server, other, status):
    server.serve("/moved", b"", faults=[redirect(other.url("/file?sig=abc"), status)])
    with http.Web(TOKEN, server.url("")).open(server.url("/moved"), {"Range": "bytes=4-"}) as answer:
        assert answer.read() == b"where"
    assert (tokens(server), tokens(other)) == (["Bearer " + TOKEN], [None])
    assert other.requests[0].headers["range"] == "bytes=4-"


def test_the_token_stays_on_a_redirect_within_its_origin(server):
    server.serve("/moved", b"", faults=[redirect("/file", 307)])
    http.Web(TOKEN, server.url("")).open(server.url("/moved")).close()
    assert tokens(server) == ["Bearer " + TOKEN] * 2


def test_a_redirect_to_another_host_is_returned_when_it_is_not_to_be_followed(server, other):
    headers = [("Location", other.url("/file")), ("X-Linked-Size", "9")]
    server.serve("/moved", b"", faults=[Fault(status=302, headers=headers)])
    with http.Web().open(server.url("/moved"), method="HEAD", leave_origin=False) as answer:
        assert (answer.status, answer.headers["X-Linked-Size"]) == (302, "9")
    assert other.requests == []


def test_redirects_in_circles_end(server):
    server.serve("/loop", b"", faults=[redirect("/loop")] * 50)
    with pytest.raises(http.WebError, match="circles"):
        http.Web().open(server.url("/loop"))
    assert len(server.requests) == http.MAX_REDIRECTS


@pytest.mark.parametrize(
    "target",
    [
        "http://models.example/file",
        "ftp://models.example/file",
        "file:///etc/passwd",
        "",
        "https://[::1/a",
        "https://a:b/",
    ],
)
def test_redirects_to_what_must_not_be_used_are_refused(server, target):
    server.serve("/moved", b"", faults=[redirect(target)] * 20)
    with pytest.raises(http.WebError):
        http.Web().open(server.url("/moved"))


@pytest.mark.parametrize(
    "url",
    [
        "http://models.example/file",
        "ftp://models.example/file",
        "file:///etc/passwd",
        "models.example/file",
        "https://",
        "https://[::1/file",
        "https://models.example:port/file",
        "https://sam:pa55@models.example/file",
        "https://a..b/file",
        "",
    ],
)
def test_addresses_that_must_not_be_used(url):
    with pytest.raises(http.WebError) as caught:
        http.Web().open(url)
    assert "pa55" not in str(caught.value)


def test_plain_http_is_allowed_on_this_machine_and_where_the_owner_trusts_it():
    assert http.Web().accepted("http://127.0.0.1:1/a b") == "http://127.0.0.1:1/a%20b"
    assert http.Web().accepted("http://localhost/a%20b?c=d&e=%2F") == "http://localhost/a%20b?c=d&e=%2F"
    assert http.Web().accepted("http://[::1]/a")
    assert http.Web(allow_plain_http=True).accepted("http://models.example/a")


def test_a_proxy_is_used_and_gets_no_token_over_plain_http(server, monkeypatch):
    server.serve("http://models.example/file", b"through the proxy")
    monkeypatch.setenv("http_proxy", server.url("/"))
    client = http.Web(TOKEN, "http://models.example", allow_plain_http=True)
    with client.open("http://models.example/file") as answer:
        assert answer.read() == b"through the proxy"
    assert tokens(server) == [None]


def test_no_server_elsewhere_sends_us_to_this_machine(server, other, monkeypatch):
    """Where the programs of other users listen, and the neighbour's. Nor does the password of the proxy get there."""
    server.serve("http://models.example/file", b"", faults=[redirect(other.url("/file"))] * 2)
    monkeypatch.setenv("http_proxy", "http://sam:secret@127.0.0.1:%d" % server.port)
    for neighbour in (None, other.url("/")):
        with pytest.raises(http.AddressRefused, match="on this machine"):
            http.Web(allow_plain_http=True, neighbour=neighbour).open("http://models.example/file")
    assert server.requests[0].headers["proxy-authorization"]
    assert other.requests == []


def test_this_machine_is_not_asked_for_through_a_proxy(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with http.Web().open(server.url("/file")) as answer:
        assert answer.read() == b"content"


@pytest.mark.parametrize(
    ("status", "transient"),
    [(status, False) for status in (400, 401, 403, 404, 410, 416)]
    + [(status, True) for status in (408, 429, 500, 502, 503, 504)]
    + [(status, True) for status in (520, 521, 522, 523, 524, 527, 530)]
    + [(status, False) for status in (505, 525, 526)],
)
def test_what_a_status_means(server, status, transient):
    server.serve("/file", b"", faults=[Fault(status=status)])
    with pytest.raises(http.HttpStatus) as caught:
        http.Web().open(server.url("/file?sig=secret"))
    assert (caught.value.status, caught.value.transient, caught.value.retry_after) == (status, transient, None)
    assert "127.0.0.1" in str(caught.value)
    assert str(status) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_retry_after_is_a_number_or_a_date(server):
    soon = formatdate(time.time() + 100, usegmt=True)
    values = ["7", soon, "nonsense", formatdate(0, usegmt=True), "\xb2", "9" * 5000, "Mon, 01 Jan 99999 00:00:00 GMT"]
    server.serve("/file", b"", faults=[Fault(status=503, headers=[("Retry-After", value)]) for value in values])
    found = []
    for _ in values:
        with pytest.raises(http.HttpStatus) as caught:
            http.Web().open(server.url("/file"))
        found.append(caught.value.retry_after)
    assert found[0] == 7
    assert 90 < found[1] <= 100
    assert found[2:] == [None, 0, None, None, None]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"RateLimit": '"resolvers";r=0;t=45'}, 45),
        ({"RateLimit": '"burst"; r=0; t=45'}, 45),
        ({"RateLimit": '"burst";r=9;t=3600, "day";r=0;t=45'}, 45),
        ({"RateLimit": '"burst";r=0;t=5, "day";r=0;t=45'}, 45),
        ({"RateLimit": "limit=100, remaining=0, reset=45"}, 45),
        ({"RateLimit": '"resolvers";r=0;t=45', "Retry-After": "7"}, 7),
        ({"RateLimit": '"resolvers";r=0'}, None),
        ({"RateLimit": '"a";r=0;t=%s' % ("9" * 5000)}, None),
        ({"RateLimit": "nonsense"}, None),
    ],
)
def test_a_limit_of_requests_tells_how_long_it_holds(server, headers, wait):
    server.serve("/file", b"", faults=[Fault(status=429, headers=list(headers.items()))])
    with pytest.raises(http.HttpStatus) as caught:
        http.Web().open(server.url("/file"))
    assert caught.value.retry_after == wait


def raw(text):
    """A header's value whose bytes are those of ``text`` in UTF-8."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize("location", [raw("/mod\u00e8les/m"), "/mod%C3%A8les/m", "/mod%c3%a8les/m"])
def test_a_redirect_to_letters_beyond_ascii_is_followed(server, location):
    server.serve("/mod%C3%A8les/m", b"content")
    server.serve("/mod%c3%a8les/m", b"content")
    server.serve("/moved", b"", faults=[redirect(location)])
    with http.Web().open(server.url("/moved")) as answer:
        assert answer.read() == b"content"


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_public_is_fetched_without_a_token_that_is_refused(server, status):
    refusal = Fault(status=status, headers=[("X-Error-Message", "Invalid credentials")])
    server.serve("/file", b"content", faults=[refusal])
    web = http.Web(TOKEN, server.url(""))
    for _ in range(2):
        with web.open(server.url("/file")) as answer:
            assert answer.read() == b"content"
    assert tokens(server) == ["Bearer " + TOKEN, None, None]
    assert "Invalid credentials" in str(web.refusal)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_to_blame_where_the_file_is_not_public(server, status):
    faults = [Fault(status=status, headers=[("X-Error-Message", "expired\x1b[2J")]), Fault(status=401)]
    server.serve("/file", b"", faults=faults)
    web = http.Web(TOKEN, server.url(""))
    with pytest.raises(http.HttpStatus, match=r"expired.*token that was sent") as caught:
        web.open(server.url("/file"))
    assert caught.value.status == status
    assert "to show a token" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_nobody_listening_is_transient():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(http.ConnectionBroken) as caught:
            http.Web().open("http://127.0.0.1:%d/file" % unused.getsockname()[1])
    assert caught.value.transient
    assert "127.0.0.1" in str(caught.value)


def test_a_server_that_never_answers_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(http.ConnectionBroken) as caught:
            http.Web(timeout=0.1).open("http://127.0.0.1:%d/file" % silent.getsockname()[1])
    assert caught.value.transient


@pytest.mark.parametrize("piece", [b"x", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_head_without_an_end_is_given_up(piece):
    dripping = [step for _ in range(100) for step in (piece, lambda: time.sleep(0.05))]
    with ScriptedServer(*dripping) as server, pytest.raises(http.ConnectionBroken, match="not come in time") as caught:
        http.Web(timeout=0.2).open(server.url + "/file")
    assert caught.value.transient


def test_an_end_without_an_end_is_given_up():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n"
    dripping = [step for _ in range(100) for step in (b"x: y\r\n", lambda: time.sleep(0.05))]
    with ScriptedServer(head, *dripping) as server, http.Web(timeout=0.2).open(server.url + "/file") as answer:
        assert answer.read1(100) == b"body"
        with pytest.raises(socket.timeout):
            answer.read1(100)


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch):
    monkeypatch.setenv("https_proxy", "http:/sam:s3cret@proxy")
    with pytest.raises(http.WebError, match="https_proxy") as caught:
        http.Web().open("https://models.example/file")
    assert not caught.value.transient
    assert "s3cret" not in str(caught.value) and caught.value.__cause__ is None
