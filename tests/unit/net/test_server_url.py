# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Addresses of servers, read as users write them and refused where they are none."""

import urllib.parse

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.net.server_url import ServerUrl, same_server

OWN = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080",
        "HTTPS://LLM.Example.org",
        "http://[::1]:8080/",
        "https://[fe80::1%25en0]:443/v1",
        "http://mac_mini.local.:80/llm/v1/",
        "http://mac:/v1",
    ],
)
def test_it_is_read_as_the_library_of_python_reads_it(text):
    url, parts = ServerUrl(text), urllib.parse.urlsplit(text)
    default = 443 if parts.scheme == "https" else 80
    assert (url.https, url.host, url.port) == (parts.scheme == "https", parts.hostname, parts.port or default)
    assert url.authority == parts.netloc


@pytest.mark.parametrize(("end", "prefix"), [("", ""), ("/", ""), ("/v1/", ""), ("/a", "/a"), ("/a/b/v1", "/a/b")])
def test_v1_at_the_end_is_understood(end, prefix):
    url = ServerUrl(OWN + end)
    assert (url.prefix, url.text) == (prefix, OWN + prefix)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8080",
        "ftp://127.0.0.1",
        "http://",
        "http:///v1",
        "http://:8080",
        "http://a b",
        "http://a..b",
        "http://" + "a" * 64,
        "http://ä.example",
        "http://mac:http",
        "http://mac:65536",
        "http://mac:-1",
        "http://mac:1:2",
        "http://::1",
        "http://[::1",
        "http://[::1]8080",
        "http://[127.0.0.1]",
        "http://mac\n",
        "http://user@mac",
        "http://mac?key=1",
        "http://mac/#a",
        "http://mac\\b",
    ],
)
def test_what_is_no_address_of_a_server_is_refused(text):
    with pytest.raises(LlamaCppError, match="server URL"):
        ServerUrl(text)


@pytest.mark.parametrize("other", ["http://127.0.0.1:81", "https://127.0.0.1:8080", "http://mac:8080", f"{OWN}/b", ""])
def test_another_address_is_another_server(other):
    assert not same_server(OWN, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("https://a.example", "https://A.example.:443/v1"), ("http://a.example:80/b/v1/", "http://a.example/b")],
)
def test_names_of_one_server(one, other):
    assert same_server(one, other)
