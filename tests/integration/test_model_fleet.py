# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several hosts and one download: the seed, the lock file, and what is removed on request."""

import hashlib
import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.fault_server import FaultServer
from support.fleet import Fleet, changes
from support.model_factory import model_bytes

SIZE = 3 * 1024 * 1024
MODEL, OTHER = model_bytes(SIZE, seed=1), model_bytes(SIZE, seed=2)
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def origin():
    with FaultServer() as running:
        running.serve("/m.gguf", MODEL)
        yield running


@pytest.fixture
def fleet(tmp_path, origin):
    fleet = Fleet(tmp_path, origin.url("/m.gguf"))
    yield fleet
    assert wait_until(lambda: not fleet.seed_servers(), 20)


def test_four_hosts_with_a_seed_cost_the_origin_one_model(fleet, origin):
    output = fleet.play({"llama_cpp_model_seed": "mac-2"})
    assert fleet.have(MODEL) == fleet.names
    assert origin.sent == SIZE
    assert "token" not in output
    assert set(changes(fleet.play({"llama_cpp_model_seed": "mac-2"}))) == {0}
    assert origin.sent == SIZE


def test_a_seed_that_cannot_serve_costs_only_downloads(fleet, origin):
    output = fleet.play({"llama_cpp_model_seed": "mac-1", "llama_cpp_seed_address": "192.0.2.7"})
    assert "cannot listen on 192.0.2.7" in output
    assert fleet.have(MODEL) == fleet.names
    assert origin.sent == 4 * SIZE


def test_a_seed_that_is_no_host_of_the_play_is_refused(fleet, origin):
    output = fleet.play({"llama_cpp_model_seed": "mac-9"}, expect=2)
    assert 'llama_cpp_model_seed is "mac-9"' in output
    assert not (fleet.directory / "mac-1").exists()


def test_the_lock_file_gives_the_next_host_the_same_bytes(fleet, origin):
    fleet.names = ["mac-1"]
    foreseen = fleet.play({"llama_cpp_update_lock": True}, "--check", "--diff")
    assert "known after the download" in foreseen
    assert not fleet.lock_file.exists()
    fleet.play()
    assert not fleet.lock_file.exists()
    fleet.play({"llama_cpp_update_lock": True})
    locked = json.loads(fleet.lock_file.read_text())["models"]
    assert locked == {origin.url("/m.gguf"): {"bytes": SIZE, "sha256": SHA256}}
    before = fleet.lock_file.stat().st_mtime_ns
    assert changes(fleet.play({"llama_cpp_update_lock": True})) == [0]
    assert fleet.lock_file.stat().st_mtime_ns == before

    origin.serve("/m.gguf", OTHER)
    fleet.names = ["mac-2"]
    refused = fleet.play(expect=2)
    assert SHA256 in refused
    assert not (fleet.models("mac-2") / "m.gguf").exists()
    fleet.play({"llama_cpp_update_lock": True})
    assert fleet.have(OTHER) == ["mac-2"]
    # The first host follows what is locked now, since the collection put its file there.
    fleet.names = ["mac-1", "mac-2"]
    fleet.play()
    assert fleet.have(OTHER) == fleet.names


def test_two_hosts_with_different_bytes_are_no_lock(fleet, origin):
    fleet.names = ["mac-1"]
    fleet.play()
    origin.serve("/m.gguf", OTHER)
    fleet.names = ["mac-1", "mac-2"]
    output = fleet.play({"llama_cpp_update_lock": True}, expect=2)
    assert "not the same file everywhere" in output
    assert not fleet.lock_file.exists()


def test_models_go_only_when_asked_and_only_those_that_were_put_there(fleet, origin):
    fleet.names = ["mac-1"]
    for name in ("old", "older"):
        origin.serve(f"/{name}.gguf", OTHER)
        fleet.config["models"][name] = {"url": origin.url(f"/{name}.gguf")}
    fleet.config["llm_settings"] = {"default_model": "tiny"}
    fleet.play()
    own = fleet.models("mac-1") / "own.gguf"
    own.write_bytes(MODEL)

    def there():
        return sorted(path.name for path in fleet.models("mac-1").glob("*"))

    fleet.config["models"]["old"]["state"] = "absent"
    del fleet.config["models"]["older"]
    assert changes(fleet.play({}, "--check")) == [2]  # the model, and what the notices say
    notices = (fleet.directory / "mac-1" / "THIRD_PARTY_NOTICES").read_text()
    assert "older.gguf" in notices
    fleet.play()
    assert there() == [".llama_cpp", "m.gguf", "older.gguf", "own.gguf"]
    fleet.play({"llama_cpp_prune_models": True}, "--check")
    assert "older.gguf" in there()
    fleet.play({"llama_cpp_prune_models": True})
    assert there() == [".llama_cpp", "m.gguf", "own.gguf"]
    assert changes(fleet.play({"llama_cpp_prune_models": True})) == [0]


def test_deep_verify_finds_what_the_stamp_cannot(fleet, origin):
    fleet.names = ["mac-1"]
    fleet.play()
    model = fleet.models("mac-1") / "m.gguf"
    status = model.stat()
    with model.open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\xff")
    os.utime(model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert changes(fleet.play()) == [0]
    assert fleet.have(MODEL) == []
    assert changes(fleet.play({"llama_cpp_deep_verify": True})) == [1]
    assert fleet.have(MODEL) == ["mac-1"]
