# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The failures this collection expects, told in words its owner can act on."""

from __future__ import annotations


class LlamaCppError(Exception):
    """Something the owner can put right.

    The text says what is wrong, where, what was and was not changed, and what to do next. Modules hand it
    to ``fail_json``, commands print it on stderr; neither adds a traceback.
    """
