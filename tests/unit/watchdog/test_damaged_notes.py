# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What one run notes for the next is of use in its form only; damaged, it is as if it were not there."""

import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord
from ansible_collections.macos_setup.llm.plugins.module_utils.net.download import Download, DownloadFailed
from ansible_collections.macos_setup.llm.plugins.module_utils.net.http import Web
from ansible_collections.macos_setup.llm.plugins.module_utils.runner import crash_loop
from ansible_collections.macos_setup.llm.plugins.module_utils.service import rollback
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollout import Rollout

DAMAGED = [
    [],
    "x",
    5,
    {"why": 5, "held": True, "programs": 5, "sha256": ["a"], "size": "9", "previous": {}, "files": 5},
]


@pytest.fixture(params=DAMAGED, ids=str)
def damaged(request, tmp_path):
    """Writes the damaged note under a name, and returns its path."""

    def write(*names):
        path = tmp_path.joinpath(*names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(request.param))
        return str(path)

    return write


def test_the_state_of_the_runner(damaged):
    path = damaged("state.json")
    assert crash_loop.why_held(path) is None and crash_loop.why_not_started(path) is None


def test_the_stamp_of_a_release(damaged, tmp_path):
    damaged("releases", "b1-abc", "stamp.json")
    assert store.stamp_of(str(tmp_path), "b1-abc") == {}


def test_the_record_of_a_model(damaged, tmp_path):
    damaged(".llama_cpp", "m.gguf.json")
    (tmp_path / "m.gguf").write_text("x")
    record = VerificationRecord(str(tmp_path / "m.gguf"))
    assert record["sha256"] is None and not record.holds() and not record.is_ours()


def test_the_note_of_a_download(damaged, tmp_path):
    damaged("m.part.json")
    (tmp_path / "m.part").write_text("begun")
    download = Download(str(tmp_path / "m.part"), Web(), sleep=lambda seconds: None)
    with pytest.raises(DownloadFailed, match="No bytes are kept"):
        download.run(["http://127.0.0.1:1/m"], others_left=True)
    assert os.listdir(tmp_path) == []


def test_the_record_of_what_served(damaged, tmp_path):
    settings = {"engine_dir": str(tmp_path), "record": damaged("proven.json"), "release": None, "files": {}}
    change = Rollout({**settings, "keep_releases": 3, "health": {"url": "http://127.0.0.1:1"}}, print)
    assert change.unconfirmed() and change.undo() is False


def test_the_release_to_go_back_to(damaged, tmp_path):
    settings = {"engine_dir": str(tmp_path), "record": damaged("proven.json"), "files": []}
    with pytest.raises(LlamaCppError, match="release"):
        rollback._tested({"rollout": settings, "arguments": [], "selftest": {}}, None, check=True)
