# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Files that an earlier version has written on a host are understood by this one. (With a play: test_takeover.py.)"""

import json
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.models.verification import VerificationRecord
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.runner import crash_loop
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.config import read_config
from ansible_collections.macos_setup.llm.plugins.module_utils.service import rollout
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.config import SupervisorConfig
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.daemon import remembered
from support.landed.restore import values, write

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def found():
    """The values of a host that was recorded, stopped and without programs."""
    with tempfile.TemporaryDirectory(prefix="landed-", dir="/tmp") as directory:
        found = values(directory)
        write(directory, found)
        yield found


@pytest.fixture
def install(found):
    return next(Path(found.host).glob("*/manifest.json")).parent


def test_the_manifest_tells_of_everything(install):
    manifest = Manifest(str(install / "manifest.json"))
    assert {entry["kind"] for entry in manifest.entries().values()} >= {
        "directory",
        "tree",
        "file",
        "marked",
        "service",
    }
    assert Uninstall(manifest, purge_models=True).left == {}


def test_the_record_of_a_model_vouches_for_it(install, found):
    record = VerificationRecord(str(install / "models" / "selftest.gguf"))
    assert record.holds() and record.is_ours()
    assert record["sha256"] == found.model_sha256


def test_the_release_is_known_with_its_self_test(install, found):
    engine = str(install / "engine")
    stamp = store.stamp_of(engine, store.current_release(engine))
    assert (stamp["build_info"], stamp["selftest"]["asked"]) == (found.build_info, stamp["selftest"]["correct"])
    assert set(stamp["programs"]) >= {"llama-server", "llama-cli"}
    assert store.installed(engine) == [store.current_release(engine)]


def test_what_has_passed_can_be_gone_back_to(install):
    record = rollout.record_in(str(install / "service" / "proven.json"))
    assert record["release"] == store.current_release(str(install / "engine"))
    assert {path: Path(path).read_text() for path in record["files"]} == record["files"]
    assert set(record["health"]) <= rollout.ASKED


def test_a_runner_of_this_version_runs_what_an_earlier_one_was_told(install):
    """Its files are in place before its configuration changes."""
    config = read_config(str(install / "service" / "runner.json"))
    assert config.argv[0] == str(install / "engine" / "current" / "bin" / "llama-server")


def test_the_runner_knows_what_ran(install):
    path = str(install / "service" / "run" / "llama-server.json")
    assert crash_loop.why_held(path) is None
    child = crash_loop.RunState(path, 60, 5, sys.exit).predecessor
    assert child == json.loads(Path(path).read_text())["child"] and child


def test_supervisord_can_be_told_to_end(install):
    config = SupervisorConfig.read(str(install / "service" / "supervisord.conf"), "llama-server")
    assert config.socket == str(install / "service" / "run" / "supervisor.sock")


def test_the_watchdog_goes_on_from_what_it_remembers(install):
    path = install / "service" / "run" / "watchdog.json"
    assert remembered(str(path)).looked == json.loads(path.read_text())["looked"]
