# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What `make demo` shows; and `make demo-clean` ends and removes what the demo started and made, and nothing else."""

import json
import os
import runpy
import subprocess
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import files, processes
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from support.paths import COLLECTIONS, REPOSITORY

pytestmark = pytest.mark.processes

DEMO = runpy.run_path(str(REPOSITORY / "playbooks" / "files" / "demo.py"))
CLEAN = DEMO["clean"]

BUILDER = """
import subprocess, sys
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import exclusive
with exclusive(sys.argv[1]) as lock:
    child = subprocess.Popen(["/bin/sleep", "600"], pass_fds=[lock])
    print(child.pid, flush=True)
    child.wait()
"""


@pytest.fixture
def started():
    running = []

    def start(*command):
        environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def demo(tmp_path):
    """A demo that has been begun: the manifest, and the directory of a build."""
    directory = tmp_path / ".demo"
    workspace = directory / "llm-workspace"
    Manifest(str(workspace / "manifest.json")).note({str(workspace / "engine" / "build"): "tree"})
    (workspace / "engine" / "build").mkdir(parents=True)
    return directory


def test_who_speaks_of_the_directory_lives_on_and_what_he_has_in_it_stays(demo, started, capsys):
    log = demo / "logs" / "a.log"
    log.parent.mkdir()
    log.write_text("a line\n")
    reader = started("/usr/bin/env", "tail", "-f", str(log))
    assert reader.stdout.readline() == b"a line\n"
    assert CLEAN(demo) == 0
    assert reader.poll() is None and log.exists()
    assert not (demo / "llm-workspace").exists() and f"{demo} was kept" in capsys.readouterr().out


def test_a_build_ends_with_what_it_started_and_everything_goes(demo, started):
    lock = demo / "llm-workspace" / "engine" / "build" / "lock"
    builder = started(sys.executable, "-c", BUILDER, str(lock))
    compiler = int(builder.stdout.readline())
    assert files.lock_owner(str(lock)) == builder.pid
    assert CLEAN(demo) == 0
    assert builder.wait(10) and not processes.alive(compiler)
    assert not demo.exists()


def test_a_stranger_with_the_number_of_an_earlier_build_lives_on(demo, started):
    stranger = started("/bin/sleep", "600")
    (demo / "llm-workspace" / "engine" / "build" / "lock").write_text(f"{stranger.pid} 1")
    assert CLEAN(demo) == 0
    assert stranger.poll() is None and not demo.exists()


def test_without_a_demo_there_is_nothing_to_do(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "mine.txt").write_text("years of work")
    assert [CLEAN(tmp_path / name) for name in ("nothing", "work")] == [0, 0]
    assert (tmp_path / "work" / "mine.txt").exists()


@pytest.mark.parametrize("name", ["demo.json", "demo_selftest.json"])
def test_every_model_is_asked_and_a_failure_is_told(demo, name, capfd):
    config = json.loads((REPOSITORY / "config" / name).read_text())
    told = {
        "server": {"url": "http://127.0.0.1:1", "api_key_file": "/key"},
        "models": [{"name": model, "description": "a model"} for model in config["models"]],
        "selftest": {"answers": "/answers.json"},
        "service": {"log": "/log"},
    }
    (demo / "llm-workspace" / "tools").mkdir()
    (demo / "llm-workspace" / "tools" / "client.json").write_text(json.dumps(told))
    (demo / "bin").mkdir()
    for command in ("llm", "llm-manager"):
        (demo / "bin" / command).write_text('#!/bin/sh\necho "asked $*"\ntest "$2" != selftest\n')
        (demo / "bin" / command).chmod(0o755)
    assert DEMO["report"](demo) == 1
    shown = capfd.readouterr().out
    assert [f"asked -m {model} " in shown for model in config["models"]] == [True] * len(config["models"])
    assert ("asked -m smollm2" in shown) is (name == "demo.json")


@pytest.mark.parametrize("installed", [False, True])
def test_where_a_model_is_missing_the_demo_without_it_is_named(demo, installed, capsys):
    model = demo / "llm-workspace" / "models" / "m.gguf"
    Manifest(str(demo / "llm-workspace" / "manifest.json")).note({str(model): "model"})
    if installed:
        model.parent.mkdir()
        model.touch()
    assert DEMO["advise"](demo) == 0
    assert ("make demo MODEL=selftest" in capsys.readouterr().err) is not installed


def test_the_demo_without_a_download_is_otherwise_the_same():
    full, small = (
        json.loads((REPOSITORY / "config" / name).read_text()) for name in ("demo.json", "demo_selftest.json")
    )
    del full["models"]["smollm2"]
    full["llm_settings"]["default_model"] = "selftest"
    assert full == small
