# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A clean copy of the checkout, tried as a newcomer would, and the engine that the earlier parts compiled."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.engine_source import EngineSource
from support.paths import REPOSITORY
from support.plays import Host, processes_below


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A copy of what git knows of the checkout."""
    target = tmp_path_factory.mktemp("newcomer") / "a clone"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, names)):
        if os.path.lexists(REPOSITORY / name):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name, follow_symlinks=False)
    yield target
    subprocess.run(["make", "demo-clean"], cwd=target, check=False)


@pytest.fixture(scope="session")
def engine():
    """The directory of the compiled programs."""
    server = os.environ.get("LLAMA_SERVER")
    if not server:
        pytest.fail("LLAMA_SERVER is not set: run these tests with `make test`, or point it at a built llama-server")
    return Path(server).parent


@pytest.fixture
def host(tmp_path, engine):
    """A directory that stands for a host, with the compiled engine to adopt; its processes end with the test."""
    directory = tmp_path / "host"
    directory.mkdir()
    yield Host(directory, engine)
    processes.end(processes_below(directory), patience=20)
    assert wait_until(lambda: not processes_below(directory), 10)


@pytest.fixture
def source(host, engine):
    """A repository of many versions; the host builds them from git."""
    made = EngineSource(host.directory / "llama.cpp", engine)
    host.config["engine"] = {"source": "git", "url": f"file://{made.url}"}
    return made
