# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The stand-in for Homebrew does what the tests that use it rely on."""

import json
import os
import subprocess

from support.paths import REPOSITORY

BREW = REPOSITORY / "tests" / "support" / "bin" / "brew"


def brew(state, *words):
    environment = {**os.environ, "FAKE_BREW_STATE": str(state)}
    return subprocess.run([BREW, *words], capture_output=True, text=True, env=environment, check=False)


def test_info_install_and_the_record(tmp_path):
    (tmp_path / "installed.json").write_text('{"git": {"outdated": true}}')
    formulae = json.loads(brew(tmp_path, "info", "--json=v2", "git", "cmake").stdout)["formulae"]
    assert [(bool(formula["installed"]), formula["outdated"]) for formula in formulae] == [(True, True), (False, False)]
    assert brew(tmp_path, "install", "cmake").returncode == 0
    assert brew(tmp_path, "upgrade").returncode != 0
    (formula,) = json.loads(brew(tmp_path, "info", "--json=v2", "cmake").stdout)["formulae"]
    assert formula["installed"]
    calls = [json.loads(line)[0] for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert calls == ["info", "install", "upgrade", "info"]
