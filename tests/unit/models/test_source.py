# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What Hugging Face says about a model is asked once, demanded, and not asked again."""

import hashlib

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from support.fault_server import Fault, FaultServer
from support.model_factory import model_bytes
from support.models import install

MODEL, OTHER = model_bytes(50_000, seed=1), model_bytes(50_000, seed=2)
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (MODEL, OTHER))
COMMIT = "0188c9bf409793f810680a5a431e7b899c46104c"


@pytest.fixture
def server():
    with FaultServer() as running:
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.gguf"


def hub(server, name="/a/b/resolve/main/m.gguf", content=MODEL, sha256=SHA256, commit=COMMIT):
    """Have the server play Hugging Face for one file that lies at /blob."""
    said = [("X-Linked-Etag", '"%s"' % sha256), ("X-Linked-Size", str(len(content))), ("X-Repo-Commit", commit)]
    elsewhere = Fault(status=302, headers=[("Location", server.url("/blob?sig=abc", host="localhost")), *said])
    for address in (name, name.replace("main", commit)):
        server.serve(address, b"", faults=[elsewhere] * 20)
    server.serve("/blob", content)


def from_hub(server, path, token=None, **demands):
    address = server.url("/a/b/resolve/main/m.gguf")
    source = WebSource(address, Web(token, server.url(""), timeout=5), endpoint=server.url(""))
    return install(path, source, **demands)


def test_hugging_face_is_asked_and_the_revision_pinned(server, path):
    hub(server)
    result = from_hub(server, path, require_checksum=True)
    assert (result["changed"], result["sha256"], result["revision"]) == (True, SHA256, COMMIT)
    asked = [(request.method, request.path) for request in server.requests]
    assert asked[:2] == [("HEAD", "/a/b/resolve/main/m.gguf"), ("GET", "/a/b/resolve/%s/m.gguf" % COMMIT)]
    assert not from_hub(server, path, require_checksum=True)["changed"]
    assert len(server.requests) == len(asked)


def test_hugging_face_is_asked_again_when_it_is_busy(server, path):
    name = "/a/b/resolve/main/m.gguf"
    server.serve(name, MODEL, etag='"%s"' % SHA256, faults=[Fault(status=503)])
    assert from_hub(server, path)["sha256"] == SHA256


def test_a_model_that_hugging_face_does_not_show_says_what_to_do(server, path):
    server.serve("/a/b/resolve/main/m.gguf", MODEL, faults=[Fault(status=401)])
    with pytest.raises(LlamaCppError, match=r"Model tiny.*HF_TOKEN"):
        from_hub(server, path)


def test_a_public_model_is_fetched_without_a_token_that_is_refused_and_that_is_told(server, path):
    refusal = Fault(status=401, headers=[("X-Error-Message", "Invalid credentials")])
    server.serve("/a/b/resolve/main/m.gguf", MODEL, etag='"%s"' % SHA256, faults=[refusal])
    result = from_hub(server, path, token="hf_expired")
    assert result["sha256"] == SHA256
    (warning,) = result["warnings"]
    assert "Invalid credentials" in warning
    assert "hf_expired" not in warning


def test_what_hugging_face_says_is_demanded(server, path):
    hub(server, content=OTHER)
    with pytest.raises(LlamaCppError, match=SHA256):
        from_hub(server, path)
    assert not path.exists()


def test_a_known_hash_is_not_asked_for(server, path):
    hub(server)
    from_hub(server, path, sha256=SHA256)
    assert "HEAD" not in [request.method for request in server.requests]


def test_the_same_file_at_another_revision_is_not_fetched_again(server, path):
    server.serve("/m.gguf", MODEL)
    install(path, WebSource(server.url("/m.gguf"), Web()))
    hub(server)
    result = from_hub(server, path)
    assert (result["changed"], result["revision"], result["transferred"]) == (False, COMMIT, 0)
    requests = len(server.requests)
    assert not from_hub(server, path)["changed"]
    assert len(server.requests) == requests


def test_a_file_of_the_owner_is_compared_with_what_hugging_face_says(server, path):
    hub(server)
    path.write_bytes(OTHER)
    with pytest.raises(LlamaCppError, match=OTHER_SHA256):
        from_hub(server, path)


# ---- renewed on request


def test_only_on_request_is_a_branch_asked_again_and_its_new_file_fetched(server, path):
    hub(server)
    from_hub(server, path)
    hub(server, content=OTHER, sha256=OTHER_SHA256, commit="b" * 40)
    assert not from_hub(server, path)["changed"]
    asked = len(server.requests)
    foreseen = from_hub(server, path, renew=True, check_only=True)
    assert (foreseen["changed"], foreseen["verified"], len(server.requests)) == (False, False, asked)
    assert "would ask 127.0.0.1" in foreseen["msg"]
    result = from_hub(server, path, renew=True)
    assert (result["changed"], result["sha256"], result["revision"]) == (True, OTHER_SHA256, "b" * 40)
    again = from_hub(server, path, renew=True)
    assert (again["changed"], again["revision"], again["transferred"]) == (False, "b" * 40, 0)


def test_renewing_leaves_no_hash_of_a_file_in_place_unknown(server, path):
    path.write_bytes(MODEL)
    server.serve("/m.gguf", MODEL)

    def have(**demands):
        return install(path, WebSource(server.url("/m.gguf"), Web()), **demands)

    assert have()["sha256"] is None
    assert have(renew=True, check_only=True)["verified"] is False
    assert have(renew=True)["sha256"] == SHA256
    assert have(renew=True, check_only=True)["verified"] is True
    assert server.requests == []
