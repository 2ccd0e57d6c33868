# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A hash covers a wheel whole. A source distribution runs a build backend that nothing pins."""

import subprocess

import pytest
from support.paths import REPOSITORY

INSTALLERS = {
    "Makefile": "$(HASHED)",
    "tests/__main__.py": '"--only-binary"',
    "plugins/module_utils/net/python_environment.py": '"--only-binary"',
    "plugins/module_utils/offline/content.py": '"--only-binary"',
    # Fetches a file and runs nothing of it.
    "plugins/module_utils/engine/sdist.py": '"--no-build-isolation"',
}


def test_nothing_else_installs_packages():
    found = subprocess.run(
        ["git", "grep", "-l", "-e", "--require-hashes", "--", ":!tests/unit", ":!docs", ":!changelogs"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(found.stdout.split()) == set(INSTALLERS)


@pytest.mark.parametrize("file", INSTALLERS)
def test_every_installation_takes_wheels_only(file):
    lines = (REPOSITORY / file).read_text(encoding="utf-8").splitlines()
    mark = "pip install" if file == "Makefile" else '"--require-hashes"'
    installing = [line for line in lines if mark in line]
    assert installing
    assert [line for line in installing if INSTALLERS[file] not in line] == []


def test_what_the_makefile_means_by_hashed():
    assert "\nHASHED := --require-hashes --only-binary :all:\n" in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
