# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What nobody wants goes, if it was put there; everything else stays."""

import os

import pytest
from support.fault_server import Fault, FaultServer
from support.model_factory import model_bytes
from support.modules import run_module

pytestmark = pytest.mark.processes

MODEL = model_bytes(50_000)


@pytest.fixture
def directory(tmp_path):
    """Models: three that were put there, one of them changed since; one begun, one linked, one of the owner."""
    directory, own = tmp_path / "models", tmp_path / "own.gguf"
    own.write_bytes(MODEL)
    with FaultServer() as server:
        for name in ("kept", "unwanted", "changed"):
            server.serve(f"/{name}.gguf", MODEL)
            have(directory, name, url=server.url(f"/{name}.gguf"))
        server.serve("/begun.gguf", MODEL, faults=[Fault(close_after=1000), Fault(status=404)])
        assert have(directory, "begun", url=server.url("/begun.gguf"))["failed"]
    have(directory, "linked", path=str(own))
    (directory / "changed.gguf").write_bytes(b"another")
    (directory / "owner.gguf").write_bytes(MODEL)
    (directory / "owner.part.json").write_text("{}")
    return directory


def have(directory, name, **source):
    return run_module("gguf_model", {"name": name, "dest": str(directory / f"{name}.gguf"), **source})


def test_only_what_was_put_there_and_is_not_wanted_goes(directory, tmp_path):
    wanted = {"directory": str(directory), "keep": [str(directory / "kept.gguf")]}
    before = sorted(os.listdir(directory))
    results = [run_module("model_prune", wanted, check=check, diff=True) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    unwanted = [str(directory / f"{name}.gguf") for name in ("begun", "linked", "unwanted")]
    assert results[0]["removed"] == results[1]["removed"] == unwanted
    assert set(results[0]["diff"]["before"]) == set(unwanted)
    left = [".llama_cpp", "changed.gguf", "kept.gguf", "owner.gguf", "owner.part.json"]
    assert sorted(os.listdir(directory)) == left
    assert set(before) - set(left) == {"begun.gguf.part", "begun.gguf.part.json", "linked.gguf", "unwanted.gguf"}
    assert (tmp_path / "own.gguf").read_bytes() == MODEL


def test_a_directory_that_is_not_there(tmp_path):
    result = run_module("model_prune", {"directory": str(tmp_path / "none"), "keep": []})
    assert (result["changed"], result["removed"]) == (False, [])
