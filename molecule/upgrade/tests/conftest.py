# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The host of this scenario: its owner's plays, and what its commands tell."""

import json
import os
import sys
from pathlib import Path

import pytest

SCENARIO = Path(__file__).resolve().parents[1]
REPOSITORY = SCENARIO.parents[1]
sys.path[:0] = [str(REPOSITORY / ".collections"), str(REPOSITORY / "tests")]

from support.plays import BIN, Host  # noqa: E402 (it is found by the line above)


class ScenarioHost(Host):
    """Its configuration is the inventory of the scenario."""

    port = 18767

    def __init__(self, directory):
        self.directory, self.install, self.bin = directory, directory / "workspace", directory / "bin"
        self.facts = f"{directory}.facts"

    def command(self, *arguments, playbook=None):
        playbook = playbook or REPOSITORY / "playbooks" / "macos_setup.yml"
        inventories = [SCENARIO.parent / "shared" / "inventory" / "all.yml", SCENARIO / "inventory" / "hosts.yml"]
        return [BIN / "ansible-playbook", *(f"--inventory={path}" for path in inventories), playbook, *arguments]

    def releases(self):
        """The release that is ``current`` and the one that was ``previous``, as ``llm-manager releases`` tells them."""
        entries = json.loads(self.run("llm-manager", "releases", "--json").stdout)
        return {mark: entry for entry in entries for mark in ("current", "previous") if entry[mark]}

    def serving_build(self):
        """Which build the running server says it is."""
        return json.loads(self.run("llm-manager", "status", "--json").stdout)["server"]["build"]

    def programs(self):
        """All programs of all releases, each with what would change if it were made anew."""
        found = (self.install / "engine" / "releases").glob("*/bin/*")
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in found}


@pytest.fixture
def host():
    return ScenarioHost(Path(os.environ["SCENARIO_HOST"]))
