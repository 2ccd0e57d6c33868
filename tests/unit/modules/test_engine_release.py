# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module engine_release with a self-test: a release is admitted to service when it passes."""

import json

import pytest
from support.fake_server_process import FAKE
from support.modules import run_module

pytestmark = pytest.mark.processes

PAIRS = [{"question": "Where?", "answer": "Here."}, {"question": "When?", "answer": "Now."}]


@pytest.mark.parametrize(("mode", "passes"), [("ready", True), ("one-wrong", False)])
def test_a_release_is_admitted_only_when_it_passes(tmp_path, mode, passes):
    programs, engine_dir = tmp_path / "programs", tmp_path / "engine"
    programs.mkdir()
    (programs / "llama-server").symlink_to(FAKE)
    model, answers = tmp_path / "selftest.gguf", tmp_path / "answers.json"
    model.write_bytes(b"GGUF")
    answers.write_text(json.dumps({"answers": PAIRS, "system": None, "max_tokens": 8}))
    wanted = {
        "engine": {"source": "existing", "version": "x", "path": str(programs), "targets": [], "options": {}},
        "engine_dir": str(engine_dir),
        "system": "Linux",
        "selftest": {"model": str(model), "answers": str(answers)},
    }
    environment = {"FAKE_LLAMA_ANSWERS": str(answers), "FAKE_LLAMA_DEVICES": "", "FAKE_LLAMA_MODE": mode}
    result = run_module("engine_release", wanted, environment=environment)
    assert result.get("failed", False) is not passes, result
    (stamp,) = engine_dir.glob("releases/*/stamp.json")
    assert ("selftest" in json.loads(stamp.read_text())) is passes
    assert (engine_dir / "current").exists() is passes
