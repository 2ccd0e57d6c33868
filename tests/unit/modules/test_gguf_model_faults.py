# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A model is to replace an older one, and the server does its worst: once, or every time.

Whatever it does, the right file stands under the name afterwards, or the old one does and the error says why.
"""

import functools
import hashlib
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.models import source
from ansible_collections.macos_setup.llm.plugins.module_utils.models.source import WebSource
from ansible_collections.macos_setup.llm.plugins.module_utils.net.download import Download
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from support.fault_server import Fault, FaultServer
from support.model_factory import model_bytes
from support.models import install

pytestmark = pytest.mark.processes

SIZE = 600_000
OLD, NEW, OTHER = (model_bytes(SIZE, seed=seed) for seed in (1, 2, 3))
SHA256 = hashlib.sha256(NEW).hexdigest()
PATIENT = 0.3  # seconds until a silent connection counts as stalled

RETRY = [("Retry-After", "1")]
FAULTS = {
    "404": Fault(status=404),
    "429": Fault(status=429, headers=RETRY),
    "503": Fault(status=503, headers=RETRY),
    "416": Fault(status=416),
    "wrong bytes": Fault(wrong_bytes=True),
    "wrong bytes, cut": Fault(wrong_bytes=True, close_after=SIZE // 2),
    "too long": Fault(claim=SIZE + 1),
    "too short": Fault(claim=SIZE - 1),
    "no length, cut": Fault(no_length=True, close_after=SIZE // 2),
    "another piece": Fault(wrong_range=True, close_after=SIZE // 2),
    "whole instead of a piece": Fault(ignore_range=True, close_after=SIZE // 2),
    "changed ETag": Fault(close_after=SIZE // 2, headers=[("ETag", '"changed"')]),
    "encoding": Fault(headers=[("Content-Encoding", "gzip")]),
    "redirect in circles": Fault(status=302, headers=[("Location", "/m.gguf")]),
    "redirect to plain http": Fault(status=302, headers=[("Location", "http://192.0.2.1/m.gguf")]),
    "absurd redirect": Fault(status=302, headers=[("Location", "file:///etc/passwd")]),
    **{
        f"{kind} {offset}": Fault(**{kind: offset})
        for kind in ("reset_after", "close_after", "stall_after", "drip_after")
        for offset in (0, 1, SIZE // 2, SIZE - 1)
    },
}


@pytest.fixture
def server():
    with FaultServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(source, "Download", functools.partial(Download, sleep=lambda _: None))


def have(server, path, sha256, **demands):
    origin = WebSource(server.url("/m.gguf"), Web(timeout=PATIENT), stall_seconds=PATIENT)
    return install(path, origin, sha256=sha256, **demands)


@pytest.fixture
def path(server, tmp_path):
    """The old model, put there by an earlier run."""
    path = tmp_path / "models" / "m.gguf"
    server.serve("/m.gguf", OLD)
    have(server, path, hashlib.sha256(OLD).hexdigest())
    return path


@pytest.mark.parametrize("times", [1, 2, 99], ids=["once", "twice", "always"])
@pytest.mark.parametrize("fault", FAULTS)
def test_the_right_file_or_the_old_one(server, path, fault, times):
    server.serve("/m.gguf", NEW, faults=[FAULTS[fault]] * times)
    try:
        result = have(server, path, SHA256, bytes=SIZE)
    except LlamaCppError as error:
        assert path.read_bytes() == OLD
        assert "127.0.0.1" in str(error)
        assert "the play again" in str(error)
        server.serve("/m.gguf", NEW)
        result = have(server, path, SHA256, bytes=SIZE)  # and nothing that was left behind harms the next run
    assert (result["changed"], result["sha256"], result["verified"]) == (True, SHA256, True)
    assert path.read_bytes() == NEW
    assert sorted(os.listdir(path.parent)) == [".llama_cpp", "m.gguf"]


@pytest.mark.parametrize("fault", ["wrong bytes", "404", "redirect to plain http", "too long"])
def test_what_cannot_become_right_keeps_the_old_file(server, path, fault):
    server.serve("/m.gguf", NEW, faults=[FAULTS[fault]] * 99)
    with pytest.raises(LlamaCppError):
        have(server, path, SHA256, bytes=SIZE)
    assert path.read_bytes() == OLD


def test_a_redirect_to_another_host_is_followed_and_verified(server, path):
    with FaultServer() as elsewhere:
        elsewhere.serve("/blob", NEW)
        there = Fault(status=302, headers=[("Location", elsewhere.url("/blob", host="localhost"))])
        server.serve("/m.gguf", b"", faults=[there] * 9)
        assert have(server, path, SHA256)["changed"]
        elsewhere.serve("/blob", OTHER)
        with pytest.raises(LlamaCppError, match="not the expected file"):
            have(server, path, "0" * 64)
    assert path.read_bytes() == NEW
