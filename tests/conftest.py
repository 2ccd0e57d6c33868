# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Makes the checkout importable as the collection ``macos_setup.llm``, and the test support as ``support``."""

import signal
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
for directory in (TESTS.parent / ".collections", TESTS):
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))

# A shell starts what it runs in the background with SIGINT ignored, and whatever is started from here would inherit
# that; a handler is not inherited, so what the tests start can be interrupted again.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def engine():
    """The directory of the compiled programs."""
    from support.built_engine import require_server

    return require_server().parent
