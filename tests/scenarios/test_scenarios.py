# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Every Molecule scenario but the default one, from destroy to destroy. (Of that: integration/test_demo.py.)"""

import subprocess

import pytest
from support.haproxy import HAPROXY
from support.paths import REPOSITORY
from support.plays import BIN

#: What a scenario needs that a machine may lack.
NEEDS = {"fleet": (HAPROXY, "There is no HAProxy on this machine.")}
SCENARIOS = sorted({file.parent.name for file in REPOSITORY.glob("molecule/*/molecule.yml")} - {"default"})


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario):
    found, reason = NEEDS.get(scenario, (True, ""))
    if not found:
        pytest.skip(reason)
    command = [BIN / "molecule", "test", "--scenario-name", scenario]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")
