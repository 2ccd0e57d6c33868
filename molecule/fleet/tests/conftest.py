# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The hosts of this scenario."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(REPOSITORY / ".collections"), str(REPOSITORY / "tests")]

from support.provisioned_fleet import ProvisionedFleet  # noqa: E402 (it is found by the line above)


@pytest.fixture(scope="session")
def fleet():
    return ProvisionedFleet(os.environ["SCENARIO_HOST"])
