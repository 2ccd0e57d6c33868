# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The checkout is as its linters want it."""

import os
import subprocess

import pytest
from support.paths import COLLECTIONS, REPOSITORY
from support.plays import BIN

# ansible-lint takes longest.
LINTERS = [
    ["ansible-lint", "--offline"],
    ["ruff", "check"],
    ["ruff", "format", "--check"],
    ["antsibull-changelog", "lint"],
    ["lint-imports", "--no-cache"],
]
# Where lint-imports finds the collection.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(COLLECTIONS)}


@pytest.mark.parametrize("command", LINTERS, ids=" ".join)
def test_it_has_nothing_to_say(command):
    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
