# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the section ``policy`` of the configuration asks of a model: judged by the configuration where that can tell,
else where the file is.
"""

from __future__ import annotations

NO_CHECKSUM = "no SHA-256 is known, and policy.require_checksums asks for one"
UNPROVED_MIRRORS = "Mirrors are given but no sha256, so nothing could prove what they send. Add sha256."


def is_allowed(license, allowed):
    """Whether a licence is one of those ``allowed``: SPDX identifiers are compared without regard to case."""
    return license is not None and license.casefold() in (one.casefold() for one in allowed)
