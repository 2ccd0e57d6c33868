# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A host that an earlier version has set up is taken over by this one: nothing is compiled or downloaded, no model is
lost, and files that only the earlier version had are removed. (The host was recorded: support/landed/restore.py.)
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall
from support.landed.restore import restore
from support.paths import REPOSITORY
from support.plays import listing, processes_below, recap

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the host was recorded on Linux")

#: Trees of the collection's sources on a host, and where they come from.
SOURCES = {"service/runner": "service_runner", "tools/lib": "llm_tools"}


@pytest.fixture(scope="module")
def landed(engine):
    with tempfile.TemporaryDirectory(prefix="landed-", dir="/tmp") as directory:
        host, environment = restore(Path(directory), engine)
        host.play_on = lambda *arguments: host.play(*arguments, environment=environment)
        yield host
        processes.end(processes_below(host.directory), patience=20)


def sources(tree):
    """Relative paths of the Python files in ``tree``; links are followed."""
    found = (os.path.join(parent, name) for parent, _, files in os.walk(tree, followlinks=True) for name in files)
    return {os.path.relpath(path, tree) for path in found if path.endswith(".py")}


def kept(host):
    """What identifies the files that are expensive to get: model and release."""
    model = host.install / "models" / "selftest.gguf"
    return [host.release()] + [path.stat().st_ino for path in (model, host.install / "engine" / "current" / "bin")]


def test_it_serves_as_it_was_left(landed):
    """What follows starts from a host that works, by the commands and the service of the earlier version."""
    started = landed.run("llm-manager", "start")
    assert started.returncode == 0, started.stderr
    assert landed.answers()
    old = sources(landed.install / "service" / "runner") - sources(REPOSITORY / "roles/llama_cpp/files/service_runner")
    assert old, "nothing shows whether old files go"


def test_one_play_takes_it_over(landed):
    before, starts = kept(landed), landed.starts()
    landed.play_on()
    assert kept(landed) == before
    assert not (landed.directory / "compiler.calls").exists()
    assert not list((landed.install / "models").glob("*.part*"))
    assert landed.starts() <= starts + 1
    assert landed.answers()
    for tree, origin in SOURCES.items():
        assert sources(landed.install / tree) == sources(REPOSITORY / "roles" / "llama_cpp" / "files" / origin)
    noted = Manifest(str(landed.install / "manifest.json")).entries()
    made = [path for path, entry in noted.items() if entry["kind"] not in ("tree", "log")]
    assert [path for path in made if not os.path.lexists(path)] == []


def test_the_second_play_changes_nothing(landed):
    starts = landed.starts()
    output = landed.play_on()
    assert recap(output)["changed"] == 0, output
    assert landed.starts() == starts


def test_all_that_both_versions_made_is_known_to_be_ours(landed):
    removal = Uninstall(Manifest(str(landed.install / "manifest.json")), purge_models=True)
    assert removal.left == {}
    removal.run()
    assert set(listing(landed.directory)) == {"compiler", "llm_config.json", "llm_config.lock.json"}
