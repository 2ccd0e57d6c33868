# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the commands fail with, besides what the core does. Each kind has its exit status (failures.py)."""

from __future__ import annotations

from .core.base.errors import LlamaCppError


class UsageError(LlamaCppError):
    """Wrong usage or configuration of the command."""


class Incomplete(LlamaCppError):
    """There is no answer, or only a part of one."""
