# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several hosts and one download: the seed, the lock file, and what is removed on request. (A seed that cannot serve:
test_engine_fleet.py.)
"""

import hashlib
import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
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


def test_hosts_with_a_seed_cost_the_origin_one_model(fleet, origin):
    fleet.names = ["mac-1", "mac-2"]
    output = fleet.play({"llama_cpp_model_seed": "mac-2"})
    assert fleet.have(MODEL) == fleet.names
    assert origin.sent == SIZE
    assert "token" not in output
    assert set(changes(fleet.play({"llama_cpp_model_seed": "mac-2"}))) == {0}
    assert origin.sent == SIZE


def test_seeds_that_are_no_hosts_of_the_play_are_refused(fleet):
    fleet.names = ["mac-1"]
    variables = ("llama_cpp_model_seed", "llama_cpp_engine_seed")
    output = fleet.play(dict.fromkeys(variables, "mac-9"), expect=2)
    assert all(f'{variable} is "mac-9"' in output for variable in variables)
    assert not (fleet.directory / "mac-1").exists()


def test_the_lock_file_gives_the_next_host_the_same_bytes_and_a_model_goes_by_its_name_alone(fleet, origin):
    fleet.names = ["mac-1"]
    for name in ("old", "older"):
        origin.serve(f"/{name}.gguf", MODEL)
        fleet.config["models"][name] = {"url": origin.url(f"/{name}.gguf")}
    fleet.config["llm_settings"] = {"default_model": "tiny"}
    fleet.play({"llama_cpp_update_lock": True})
    locked = json.loads(fleet.lock_file.read_text())["models"]
    assert locked[origin.url("/m.gguf")] == {"bytes": SIZE, "sha256": SHA256}
    (fleet.models("mac-1") / "own.gguf").write_bytes(MODEL)
    fleet.config["models"]["old"]["state"] = "absent"
    del fleet.config["models"]["older"]

    origin.serve("/m.gguf", OTHER)
    fleet.names = ["mac-2"]
    refused = fleet.play(expect=2)
    assert SHA256 in refused
    assert not (fleet.models("mac-2") / "m.gguf").exists()
    fleet.play({"llama_cpp_update_lock": True})
    # The first host follows what is locked now, since the collection put its file there.
    fleet.names = ["mac-1", "mac-2"]
    fleet.play()
    assert fleet.have(OTHER) == fleet.names
    left = sorted(path.name for path in fleet.models("mac-1").glob("*"))
    assert left == [".llama_cpp", "m.gguf", "older.gguf", "own.gguf"]
