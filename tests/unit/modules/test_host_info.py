# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host tells before anything is changed, and what it refuses."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import host
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollout import AddressTaken
from support.model_factory import model_bytes, projector_bytes
from support.modules import run_module


@pytest.mark.skipif(os.geteuid() != 0, reason="root is refused")
def test_root_is_refused_in_a_directory_of_somebody_else(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    answer = run_module("host_info", {"manifest": str(tmp_path / "manifest.json")})
    assert answer["failed"] and str(tmp_path) in answer["msg"] and "without become" in answer["msg"]


def test_all_places_that_are_taken_are_refused_in_check_mode_too(tmp_path):
    for name in ("engine/src", "tools/lib"):
        (tmp_path / name).mkdir(parents=True)
    claims = {str(tmp_path / name): "tree" for name in ("engine/src", "tools/lib", "tools/venv")}
    arguments = {"claims": claims, "manifest": str(tmp_path / "manifest.json")}
    for check in (True, False):
        refused = run_module("host_info", arguments, check=check)
        assert refused["failed"] and "in 2 of its places" in refused["msg"]
        assert all(str(tmp_path / name) in refused["msg"] for name in ("engine/src", "tools/lib"))
    assert sorted(os.listdir(tmp_path)) == ["engine", "tools"]


def test_a_key_that_is_open_to_others_is_refused(tmp_path):
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "key").chmod(0o640)
    wanted = {
        "manifest": str(tmp_path / "manifest.json"),
        "private_files": {"server.api_key": str(tmp_path / "key")},
    }
    result = run_module("host_info", wanted)
    assert result["failed"] and result["msg"].startswith("server.api_key: %s is open" % (tmp_path / "key"))


# ---- what no part of the play can make right


def look_at_models(tmp_path, *files, check=False, **stages):
    """The answer of a host that is to have links to the paths of ``files``, and what else is in ``stages``."""
    wanted = [
        {"name": f"m{number}", "dest": str(tmp_path / "models" / f"m{number}.gguf"), "source": {"path": str(path)}}
        for number, path in enumerate(files)
    ]
    arguments = {
        "manifest": str(tmp_path / "manifest.json"),
        "stages": {"models": [["models", {"files": wanted}]], **stages},
    }
    return run_module("host_info", arguments, check=check)


@pytest.mark.parametrize("content", [None, b"<!DOCTYPE html>", model_bytes(5000)[:-1], projector_bytes()])
def test_a_model_of_the_owner_that_cannot_be_used_is_refused(tmp_path, content):
    path = tmp_path / "a.gguf"
    if content is not None:
        path.write_bytes(content)
    refused = look_at_models(tmp_path, path)
    assert refused["failed"] and refused["msg"].startswith("Model m0: ") and str(path) in refused["msg"]
    answer = look_at_models(tmp_path, path, check=True)  # an absent one may come with the run that is no check
    assert bool(answer.get("failed")) == (content is not None)
    assert not (tmp_path / "models").exists()


def test_a_model_that_an_earlier_part_of_the_play_makes_is_not_missed(tmp_path):
    other = {"files": {str(tmp_path / "selftest.gguf"): {"sha256": "0" * 64, "mode": "0644", "kind": "file"}}}
    rest = {"directories": [], "trees": [], "blocks": {}, "keys": {}, "claims": {}}
    stages = {"foundation": [["file_set", {**other, **rest}]]}
    answer = look_at_models(tmp_path, tmp_path / "selftest.gguf", tmp_path / "models" / "m0.gguf", **stages)
    assert answer.get("due") == {"foundation": ["file_set"], "models": ["models"]}, answer


def test_an_address_that_another_program_has_is_refused_unless_a_job_is_to_be_moved(tmp_path, monkeypatch):
    def taken(*_arguments):
        raise AddressTaken("port 1 is held")

    monkeypatch.setitem(host.PARTS, "launchd", taken)
    given = {"manifest": str(tmp_path / "manifest.json"), "bundle": None, "stages": {}}
    looking = host.Host(given, check_only=False, warn=print)
    with pytest.raises(AddressTaken):
        looking._is_due("launchd", {}, {"elsewhere": []})
    assert looking._is_due("launchd", {}, {"elsewhere": [{"label": "com.llama.server"}]}) is True
