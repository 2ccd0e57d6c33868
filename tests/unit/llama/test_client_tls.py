# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Requests over TLS: who is trusted, by which certificate."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import NotRunning, ServerError
from support.scripted_server import ScriptedServer, response, self_signed


def test_https_with_its_authority(tmp_path):
    certificate, authority = self_signed(tmp_path)
    with ScriptedServer(response(200, b"{}"), certificate=certificate) as server:
        assert LlamaServer(server.url, ca_file=str(authority)).props() == {}


def test_a_certificate_for_a_name_is_known_by_itself(tmp_path):
    """A server on all addresses has one, and is asked as 127.0.0.1."""
    certificate, authority = self_signed(tmp_path, "mac-07.example")
    with ScriptedServer(response(200, b"{}"), certificate=certificate) as server:
        with pytest.raises(ServerError, match="mismatch"):
            LlamaServer(server.url, ca_file=str(authority)).props()
        client = LlamaServer(server.url, "s3cret", ca_file=str(authority), certificate=str(certificate), owner=-1)
        assert client.props() == {}
    assert len(server.requests) == 1


def test_another_certificate_is_not_trusted_for_its_name(tmp_path):
    (tmp_path / "other").mkdir()
    configured, _ = self_signed(tmp_path, "mac-07.example")
    shown, _ = self_signed(tmp_path / "other", "mac-07.example")
    with ScriptedServer(certificate=shown) as server, pytest.raises(ServerError, match="No trusted") as caught:
        LlamaServer(server.url, "s3cret", ca_file=str(configured), certificate=str(configured)).props()
    assert str(configured) in str(caught.value) and "llm-manager restart" in str(caught.value)
    assert not server.requests


@pytest.mark.parametrize(
    "content", [None, b"\xff no certificate", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"]
)
def test_where_the_certificate_cannot_be_read_its_authority_decides(tmp_path, content):
    certificate, authority = self_signed(tmp_path)
    if content is not None:
        (tmp_path / "configured.pem").write_bytes(content)
    with ScriptedServer(response(200, b"{}"), certificate=certificate) as server:
        known = {"ca_file": str(authority), "certificate": str(tmp_path / "configured.pem")}
        assert LlamaServer(server.url, **known).props() == {}


def test_https_of_an_unknown_authority_is_refused(tmp_path):
    certificate, _ = self_signed(tmp_path)
    with ScriptedServer(certificate=certificate) as server, pytest.raises(ServerError, match=r"self.signed") as caught:
        LlamaServer(server.url, "s3cret").props()
    assert not isinstance(caught.value, NotRunning)
    assert server.requests == []


def test_https_to_a_plain_server(tmp_path):
    with ScriptedServer(response(400, b"{}")) as server, pytest.raises(ServerError):
        LlamaServer(server.url.replace("http:", "https:"), timeout=0.3).props()


def test_the_authorities_of_the_system_count_together_with_a_configured_one(tmp_path, monkeypatch):
    certificate, authority = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = self_signed(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))  # for OpenSSL those of the system
    with ScriptedServer(response(200, b"{}"), certificate=certificate) as server:
        assert LlamaServer(server.url, ca_file=str(other)).props() == {}


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_unusable_authority_file(tmp_path, content):
    authority = tmp_path / "ca.pem"
    if content:
        authority.write_text(content)
    with pytest.raises(LlamaCppError, match=r"ca\.pem"):
        LlamaServer("https://127.0.0.1:1", ca_file=str(authority))
