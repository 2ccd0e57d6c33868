# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the collection made goes, what the owner made stays, and nothing else is left."""

import os
import shutil

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.paths import REPOSITORY
from support.plays import Play, listing, processes_below, recap

UNINSTALL = REPOSITORY / "playbooks" / "uninstall.yml"
PURGE = ("-e", '{"llama_cpp_purge_models": true}')
MODEL = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"


@pytest.fixture
def lived_in(host):
    """The host with files of its owner in the places that the configuration names."""
    host.models = host.directory / "my models"
    host.models.mkdir()
    shutil.copy(MODEL, host.models / "owned.gguf")
    host.bin.mkdir(mode=0o750)
    (host.bin / "backup").write_text("#!/bin/sh\n")
    (host.bin / "backup").chmod(0o700)
    host.config["llm_settings"]["models_dir"] = str(host.models)
    # Verified and used, but put there by its owner.
    host.config["models"]["owned"] = {"url": "https://models.example.org/owned.gguf"}
    host.command()  # writes the configuration
    return host


def test_all_goes_but_what_was_there_before(lived_in):
    before = listing(lived_in.directory)
    lived_in.play()
    installed = listing(lived_in.directory)
    manifest = lived_in.install / "manifest.json"
    noted = manifest.read_bytes(), manifest.stat().st_mtime_ns
    output = lived_in.play()
    assert recap(output)["changed"] == 0, output
    assert (manifest.read_bytes(), manifest.stat().st_mtime_ns) == noted

    # The manifest alone tells, whatever became of the configuration.
    lived_in.config["llm_settings"].update(models_dir=str(lived_in.directory / "elsewhere"), server_port=1)
    output = lived_in.play("--check", "--diff", *PURGE, playbook=UNINSTALL)
    assert recap(output)["changed"] == 1, output
    assert f"-{lived_in.install}/engine/current" in output and f"-{lived_in.models}/selftest.gguf" in output
    assert not set(installed) - set(listing(lived_in.directory))
    assert lived_in.answers()

    output = lived_in.play(*PURGE, playbook=UNINSTALL)
    assert recap(output)["changed"] == 1, output
    assert listing(lived_in.directory) == before
    assert not processes_below(lived_in.directory)
    output = lived_in.play("--check", *PURGE, playbook=UNINSTALL)
    assert recap(output)["changed"] == 0, output
    output = lived_in.play(*PURGE, playbook=UNINSTALL)
    assert recap(output)["changed"] == 0, output
    assert listing(lived_in.directory) == before


def test_models_and_what_somebody_else_made_stay(host):
    host.play()
    launcher, note = host.bin / "llm", host.install / "service" / "note.txt"
    launcher.write_text("#!/bin/sh\necho mine\n")
    note.write_text("of the owner\n")
    output = host.play(playbook=UNINSTALL)
    for left in (launcher, note):
        assert f"Left alone: {left} " in output, output
    model = host.install / "models" / "selftest.gguf"
    assert sorted(set(listing(host.directory)) - {"llm_config.json"}) == [
        "bin",
        "bin/llm",
        "workspace",
        "workspace/manifest.json",
        "workspace/manifest.json.lock",
        "workspace/models",
        "workspace/models/.llama_cpp",
        "workspace/models/.llama_cpp/selftest.gguf.json",
        "workspace/models/.llama_cpp/selftest.gguf.lock",
        "workspace/models/selftest.gguf",
        "workspace/service",
        "workspace/service/note.txt",
    ]
    assert os.readlink(model)
    assert recap(host.play(playbook=UNINSTALL))["changed"] == 0
    launcher.unlink()
    note.unlink()
    host.play(*PURGE, playbook=UNINSTALL)
    assert list(listing(host.directory)) == ["llm_config.json"]


@pytest.mark.parametrize("moment", ["Service | Run the server", "Engine | Build or adopt"])
def test_a_killed_installation_is_removed_too(host, moment):
    play = Play(host.command(), REPOSITORY)
    before = listing(host.directory)
    assert play.until(lambda line: moment in line), play.output
    play.kill()
    host.play(*PURGE, playbook=UNINSTALL)
    assert wait_until(lambda: not processes_below(host.directory), 10)
    assert listing(host.directory) == before


def test_a_killed_uninstall_is_completed_by_the_next(host):
    host.play()
    play = Play(host.command(*PURGE, playbook=UNINSTALL), REPOSITORY)
    assert play.until(lambda line: "Take the services out" in line), play.output
    # Halfway: the supervisor has begun to end, or has, and nothing else is gone for sure.
    assert wait_until(lambda: not (host.install / "service" / "run" / "supervisord.pid").exists(), 60)
    play.kill()
    host.play(*PURGE, playbook=UNINSTALL)
    assert list(listing(host.directory)) == ["llm_config.json"]
    assert not processes_below(host.directory)
