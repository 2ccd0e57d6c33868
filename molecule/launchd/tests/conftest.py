# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The Mac of this scenario, and what must be so before each test of a Mac that serves."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPOSITORY / ".collections"), str(REPOSITORY / "tests")]

from support.provisioned_mac import ProvisionedMac  # noqa: E402 (it is found by the line above)


@pytest.fixture(scope="session")
def mac():
    return ProvisionedMac(os.environ["SCENARIO_HOST"])


@pytest.fixture
def serving(mac):
    """The Mac, with somebody logged in and a server that answers."""
    assert mac.is_well()
    return mac
