# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A simulated Mac with somebody at its screen."""

import tempfile

import pytest
from support.simulated_mac import UID, SimulatedMac


@pytest.fixture
def mac():
    with tempfile.TemporaryDirectory() as directory, SimulatedMac(directory) as mac:
        mac.login(UID)
        yield mac
