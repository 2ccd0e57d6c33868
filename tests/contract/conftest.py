# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The pinned source tree and the binary that was built from it."""

import json
import subprocess
import tarfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import sdist
from support.paths import REPOSITORY


@pytest.fixture(scope="session")
def pin():
    """The newest known pin: (commit, {"package", "version", "sha256", "tree"})."""
    pins = json.loads((REPOSITORY / "config" / "engine_pins.json").read_text())["pypi"]
    ((commit, entry),) = pins.items()
    return commit, entry


@pytest.fixture(scope="session")
def cmake_files(pin):
    """The text of every CMake file of the pinned tree, in one string."""
    _commit, entry = pin
    directory = REPOSITORY / ".cache" / "downloads"
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {key: entry[key] for key in ("package", "version", "sha256")}
    path = sdist.fetch(directory=str(directory), progress=Progress(None), **wanted)
    texts = []
    with tarfile.open(path) as archive:
        for member in archive:
            if "/{}/".format(entry["tree"]) in member.name and member.name.endswith(("CMakeLists.txt", ".cmake")):
                texts.append(archive.extractfile(member).read().decode())
    return "\n".join(texts)


@pytest.fixture(scope="session")
def help_text(engine):
    """What the compiled llama-server prints for --help."""
    return subprocess.run([engine / "llama-server", "--help"], capture_output=True, text=True, check=True).stdout
