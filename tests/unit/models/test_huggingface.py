# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Addresses on Hugging Face and what its headers mean."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.huggingface import (
    Location,
    Metadata,
    location_of,
    metadata,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import HttpStatus, Web
from support.fault_server import Fault, FaultServer

SHA256 = "8e3ebc1c" * 8
COMMIT = "0188c9bf409793f810680a5a431e7b899c46104c"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (Location("Qwen/Q-GGUF", "q.gguf"), "https://huggingface.co/Qwen/Q-GGUF/resolve/main/q.gguf"),
        (
            Location("a/b", "dir/ä b.gguf", COMMIT),
            "https://huggingface.co/a/b/resolve/%s/dir/%%C3%%A4%%20b.gguf" % COMMIT,
        ),
        (Location("a/b", "c.gguf", "refs/pr/1"), "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/c.gguf"),
    ],
)
def test_addresses_and_back(location, url):
    assert location.url() == url
    assert location_of(url + "?download=true") == location


def test_another_endpoint():
    endpoint = "https://mirror.example/hf"
    url = Location("a/b", "c.gguf").url(endpoint)
    assert url == "https://mirror.example/hf/a/b/resolve/main/c.gguf"
    assert location_of(url, endpoint) == Location("a/b", "c.gguf")
    assert location_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/buckets/a/b/resolve/main/c.gguf",  # their ETag is no SHA-256
        "https://huggingface.co/a/b/blob/main/c.gguf",
        "https://huggingface.co/a/b/resolve/main",
        "https://huggingface.co.example/a/b/resolve/main/c.gguf",
        "https://models.example/a/b/resolve/main/c.gguf",
        "https://models.example/c.gguf",
    ],
)
def test_addresses_of_something_else(url):
    assert location_of(url) is None


@pytest.mark.parametrize("repo", ["tinyllama", "a/b/c", "../b", "a/..", "a/b?c", "a /b", ""])
def test_impossible_repositories(repo):
    with pytest.raises(LlamaCppError, match=r"OWNER/NAME"):
        Location(repo, "c.gguf").url()


@pytest.fixture
def server():
    with FaultServer() as running:
        yield running


def told(server, headers, status=302):
    server.serve("/a", b"", faults=[Fault(status=status, headers=headers)])
    return metadata(Web(), server.url("/a"))


def test_a_model_file_redirects_elsewhere_and_tells_before(server):
    headers = [
        ("Location", "https://cdn.example/blob?sig=abc"),
        ("ETag", '"another"'),
        ("X-Linked-Etag", '"%s"' % SHA256),
        ("X-Linked-Size", "229310080"),
        ("X-Repo-Commit", COMMIT),
        ("X-Xet-Hash", "fa10950e" * 8),
    ]
    assert told(server, headers) == Metadata(SHA256, 229310080, COMMIT)
    assert [request.method for request in server.requests] == ["HEAD"]


def test_the_etag_of_a_redirect_is_not_that_of_the_file(server):
    headers = [("Location", "https://cdn.example/blob"), ("ETag", '"%s"' % SHA256)]
    assert told(server, headers) == Metadata(None, None, None)


def test_a_small_file_has_no_sha256(server):
    server.serve("/a", b"12345", etag='"%s"' % ("a" * 40), headers=[("X-Repo-Commit", COMMIT)])
    assert metadata(Web(), server.url("/a")) == Metadata(None, 5, COMMIT)


def test_a_server_that_answers_itself(server):
    server.serve("/a", b"12345", etag='W/"%s"' % SHA256.upper())
    assert metadata(Web(), server.url("/a")) == Metadata(SHA256, 5, None)


def test_a_renamed_repository_is_followed(server):
    server.serve("/old", b"", faults=[Fault(status=307, headers=[("Location", "/new")])])
    server.serve(
        "/new", b"", faults=[Fault(status=302, headers=[("Location", "https://c.example/"), ("X-Linked-Size", "7")])]
    )
    assert metadata(Web(), server.url("/old")).size == 7


def test_a_gated_model_says_what_to_do(server):
    server.serve("/a", b"", faults=[Fault(status=401)])
    with pytest.raises(HttpStatus, match="HF_TOKEN"):
        metadata(Web(), server.url("/a"))
