# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module ``engine_selftest``, as Ansible runs it."""

import json

import pytest
from support.fake_server_process import FAKE
from support.modules import run_module

MODULE = "engine_selftest"
PAIRS = [{"question": "Who?", "answer": "Me."}, {"question": "Where?", "answer": "Here."}]


@pytest.fixture
def site(tmp_path):
    """(arguments of the module, environment in which the stand-in knows the answers)."""
    model, answers = tmp_path / "self test.gguf", tmp_path / "answers.json"
    model.write_bytes(b"GGUF")
    answers.write_text(json.dumps({"answers": PAIRS, "system": None, "max_tokens": 8}))
    arguments = {"server": str(FAKE), "model": str(model), "answers": str(answers), "timeout": 30}
    environment = {"FAKE_LLAMA_ANSWERS": str(answers), "FAKE_LLAMA_DEVICES": "", "FAKE_LLAMA_MODE": "ready"}
    return arguments, environment


@pytest.mark.parametrize("check", [False, True])
def test_asks_all_and_changes_nothing(site, check):
    arguments, environment = site
    result = run_module(MODULE, arguments, check=check, environment=environment)
    assert not result.get("failed"), result
    assert result["changed"] is False
    assert (result["asked"], result["correct"], result["devices"]) == (2, 2, {})
    assert result["tokens_per_second"] > 0
    assert {"asked", "correct", "tokens_per_second", "devices"} <= set(result)


@pytest.mark.parametrize("check", [True, False])
def test_a_release_that_passes_is_noted_and_the_first_one_is_current(site, tmp_path, check):
    arguments, environment = site
    engine_dir = tmp_path / "engine"
    stamp = engine_dir / "releases" / "new" / "stamp.json"
    stamp.parent.mkdir(parents=True)
    stamp.write_text(json.dumps({"build_info": "b1"}))
    noted = {**arguments, "engine_dir": str(engine_dir), "release": "new"}
    assert run_module(MODULE, noted, check=check, environment=environment)["changed"] is True
    assert ("selftest" in json.loads(stamp.read_text())) is not check
    assert (engine_dir / "current").exists() is not check


def test_a_release_that_fails_is_not_noted(site, tmp_path):
    arguments, environment = site
    noted = {**arguments, "engine_dir": str(tmp_path / "engine"), "release": "new"}
    wrong = {**environment, "FAKE_LLAMA_MODE": "one-wrong"}
    assert run_module(MODULE, noted, environment=wrong)["failed"] and not (tmp_path / "engine").exists()


def test_a_wrong_answer_fails(site):
    arguments, environment = site
    result = run_module(MODULE, arguments, environment={**environment, "FAKE_LLAMA_MODE": "one-wrong"})
    assert result["failed"]
    for fact in ("Where?", "Here.", "1 of 2"):
        assert fact in result["msg"]


def test_computes_on_the_wanted_device(site):
    arguments, environment = site
    wanted = {**arguments, "device": "MTL0"}
    assert "MTL0" in run_module(MODULE, wanted, environment=environment)["msg"]
    metal = {**environment, "FAKE_LLAMA_DEVICES": "MTL0: Apple M2 (1 MiB, 1 MiB free)"}
    assert run_module(MODULE, wanted, environment=metal)["devices"] == {"MTL0": "Apple M2 (1 MiB, 1 MiB free)"}


@pytest.mark.parametrize("name", ["server", "model", "answers"])
def test_a_missing_file_fails_except_in_the_check_of_a_bare_host(site, tmp_path, name):
    arguments, environment = site
    arguments[name] = str(tmp_path / "missing")
    result = run_module(MODULE, arguments, environment=environment)
    assert result["failed"]
    assert arguments[name] in result["msg"]
    checked = run_module(MODULE, arguments, check=True, environment=environment)
    assert not checked.get("failed"), checked
    assert checked["skipped"] is True
    assert checked["changed"] is False
    assert arguments[name] in checked["msg"]


def test_reports_its_progress(site, tmp_path):
    arguments, environment = site
    state = tmp_path / "progress"
    result = run_module(MODULE, {**arguments, "progress_file": str(state)}, environment=environment)
    assert not result.get("failed"), result
    assert json.loads(state.read_text())["total"] == len(PAIRS)
