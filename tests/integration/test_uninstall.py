# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the collection made goes, what the owner made stays, and nothing else is left."""

import os
import shutil

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.paths import REPOSITORY
from support.plays import listing, processes_below, recap

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


def test_all_goes_but_what_is_somebody_elses(lived_in):
    before = listing(lived_in.directory)
    lived_in.play()
    installed = listing(lived_in.directory)

    # The manifest alone tells, whatever became of the configuration.
    lived_in.config["llm_settings"].update(models_dir=str(lived_in.directory / "elsewhere"), server_port=1)
    output = lived_in.play("--check", "--diff", *PURGE, playbook=UNINSTALL)
    assert recap(output)["changed"] == 1, output
    assert f"-{lived_in.install}/engine/current" in output and f"-{lived_in.models}/selftest.gguf" in output
    assert not set(installed) - set(listing(lived_in.directory))
    assert lived_in.answers()

    # Killed halfway: the supervisor has begun to end, or has, and nothing else is gone for sure.
    launcher, note = lived_in.bin / "llm", lived_in.install / "service" / "note.txt"
    launcher.write_text("#!/bin/sh\necho mine\n")
    note.write_text("of the owner\n")
    play = lived_in.begin(playbook=UNINSTALL)
    assert play.until(lambda line: "Take the services out" in line), play.output
    assert wait_until(lambda: not (lived_in.install / "service" / "run" / "supervisord.pid").exists(), 60)
    play.kill()

    # The next one completes it. Models stay, and so does what somebody else has made meanwhile.
    output = lived_in.play(playbook=UNINSTALL)
    assert f"Left alone: {note} " in output, output
    assert launcher.read_text() == "#!/bin/sh\necho mine\n"
    assert not processes_below(lived_in.directory)
    workspace = lived_in.install.name
    assert sorted(set(listing(lived_in.directory)) - set(before)) == [
        "bin/llm",
        workspace,
        f"{workspace}/manifest.json",
        f"{workspace}/manifest.json.lock",
        f"{workspace}/service",
        f"{workspace}/service/note.txt",
        "my models/.llama_cpp",
        "my models/.llama_cpp/selftest.gguf.json",
        "my models/.llama_cpp/selftest.gguf.lock",
        "my models/selftest.gguf",
    ]
    assert os.readlink(lived_in.models / "selftest.gguf")

    launcher.unlink()
    note.unlink()
    output = lived_in.play(*PURGE, playbook=UNINSTALL)
    assert recap(output)["changed"] == 1, output
    assert listing(lived_in.directory) == before
