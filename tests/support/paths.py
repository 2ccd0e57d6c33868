# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where things are in the checkout."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COLLECTIONS = REPOSITORY / ".collections"
#: What the parts of `make test` leave.
RESULTS = REPOSITORY / ".cache" / "test-results"
