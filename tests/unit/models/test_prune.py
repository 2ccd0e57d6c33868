# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What nobody wants goes, if it was put there; everything else stays."""

import os

import pytest
from support.fault_server import Fault, FaultServer
from support.model_factory import model_bytes
from support.models import gguf_model
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
    return gguf_model({"name": name, "dest": str(directory / f"{name}.gguf"), "source": source})


def test_only_what_was_put_there_and_is_not_wanted_goes(directory, tmp_path):
    wanted = {"prune": str(directory), "keep": [str(directory / "kept.gguf")]}
    before = sorted(os.listdir(directory))
    results = [run_module("gguf_model", wanted, check=check, diff=True) for check in (True, False, True, False)]
    assert [result["changed"] for result in results] == [True, True, False, False]
    unwanted = [str(directory / f"{name}.gguf") for name in ("begun", "linked", "unwanted")]
    assert results[0]["removed"] == results[1]["removed"] == unwanted
    assert [change["before"].get("dest") for change in results[0]["diff"]] == [None, *unwanted[1:]]
    left = [".llama_cpp", "changed.gguf", "kept.gguf", "owner.gguf", "owner.part.json"]
    assert sorted(os.listdir(directory)) == left
    assert set(before) - set(left) == {"begun.gguf.part", "begun.gguf.part.json", "linked.gguf", "unwanted.gguf"}
    assert (tmp_path / "own.gguf").read_bytes() == MODEL


def test_a_directory_that_is_not_there(tmp_path):
    result = run_module("gguf_model", {"prune": str(tmp_path / "none")})
    assert (result["changed"], result["removed"]) == (False, [])


def test_what_is_wanted_now_stays_and_what_is_to_be_absent_goes(directory):
    unwanted = {"name": "unwanted", "dest": str(directory / "unwanted.gguf")}
    linked = {"name": "linked", "dest": str(directory / "linked.gguf")}
    own = {"path": str(directory.parent / "own.gguf")}
    result = run_module("gguf_model", {"files": [{**linked, "source": own}], "prune": str(directory)})
    assert result["removed"] == [str(directory / f"{name}.gguf") for name in ("begun", "kept", "unwanted")]
    gone = run_module("gguf_model", {"state": "absent", "files": [unwanted, linked]})
    assert ([file["changed"] for file in gone["files"]], gone["verified"]) == ([False, True], True)
