# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a host tells before anything is changed, and what it refuses."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import host
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
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


# ---- what is in the way of the commands

OURS, THEIRS = f"#!/bin/sh\n# {MANAGED_BY}\n", "#!/bin/sh\necho theirs\n"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """``commands(shell)``: what is found of the command llm with its man page and a list, where the login shell of the
    user tells ``shell``; ``llm`` of others is in the directory ``other``, which is searched first."""
    for name in ("bin", "other", "share"):
        (tmp_path / name).mkdir()
    (tmp_path / "other" / "llm").write_text(THEIRS)
    (tmp_path / "other" / "llm").chmod(0o755)
    asked = {"directory": str(tmp_path / "bin"), "zsh": str(tmp_path / "zsh"), "system": "Darwin"}
    asked["names"] = {"llm": [str(tmp_path / "share" / "llm.1")]}
    asked["blocks"] = {str(tmp_path / "models.yaml"): "- model_id: ours\n"}

    def commands(shell=None):
        monkeypatch.setattr(host.login, "searched", lambda *_wanted: shell)
        given = {"manifest": str(tmp_path / "manifest.json"), "bundle": None, "stages": {}}
        return host.Host(given, check_only=False, warn=print)._commands(asked)

    return commands


def shell_that_searches(*directories):
    return {"shell": "/bin/zsh", "path": list(map(str, directories)), "fpath": []}


def test_what_goes_with_a_command_that_gives_way_is_withheld_too(commands, tmp_path):
    found = commands(shell_that_searches(tmp_path / "other", tmp_path / "bin"))
    assert found["foreign"] == {"llm": str(tmp_path / "other" / "llm")}
    assert set(found["withheld"]) == {str(tmp_path / "bin" / "llm"), str(tmp_path / "share" / "llm.1")}
    assert found["login"]["path_line"] is None and found["login"]["completes"] is False


def test_where_ours_is_not_searched_it_is_installed_and_that_is_told(commands, tmp_path):
    found = commands(shell_that_searches(tmp_path / "other"))
    theirs = str(tmp_path / "other" / "llm")
    assert (found["foreign"], found["withheld"], found["others"]) == ({"llm": None}, [], {"llm": [theirs]})
    assert found["login"]["runs"] == {"llm": theirs}
    assert str(tmp_path / "bin") in found["login"]["path_line"][1]


def test_files_in_the_way_are_left_out(commands, tmp_path):
    (tmp_path / "share" / "llm.1").write_text(THEIRS)
    (tmp_path / "models.yaml").write_text("[]\n")
    found = commands()
    assert set(found["left_out"]) == set(found["withheld"])
    assert set(found["withheld"]) == {str(tmp_path / "share" / "llm.1"), str(tmp_path / "models.yaml")}
    (tmp_path / "share" / "llm.1").write_text(OURS)
    (tmp_path / "models.yaml").unlink()
    assert commands()["withheld"] == [] and commands()["login"] is None


def test_a_list_that_is_not_wanted_is_none_of_our_business(tmp_path):
    (tmp_path / "models.yaml").write_bytes(b"\xff")
    commands = {"directory": "/nowhere/bin", "names": {}, "zsh": "/x", "system": "Linux"}
    commands["blocks"] = {str(tmp_path / "models.yaml"): ""}
    found = run_module("host_info", {"manifest": str(tmp_path / "manifest.json"), "commands": commands})["commands"]
    assert found["left_out"] == {} and found["withheld"] == [str(tmp_path / "models.yaml")]


def test_what_is_withheld_makes_nothing_due(tmp_path):
    names = {"llm": [str(tmp_path / "llm.1")]}
    (tmp_path / "llm.1").write_text(THEIRS)
    (tmp_path / "models.yaml").write_text("[]\n")
    missing = {"sha256": "0" * 64, "mode": "0644", "kind": "marked"}
    rest = {"directories": [], "trees": [], "keys": [], "claims": {}}
    blocks = {str(tmp_path / "models.yaml"): "- model_id: ours\n"}
    wanted = {**rest, "files": {str(tmp_path / "llm.1"): missing}, "blocks": blocks}
    arguments = {
        "manifest": str(tmp_path / "manifest.json"),
        "commands": {"directory": "/nowhere/bin", "names": names, "blocks": blocks, "zsh": "/x", "system": "Linux"},
        "stages": {"tools": [["file_set", wanted]]},
    }
    answer = run_module("host_info", arguments)
    assert answer["due"] == {} and len(answer["commands"]["left_out"]) == 2
    del arguments["commands"]
    assert run_module("host_info", arguments)["due"] == {"tools": ["file_set"]}
