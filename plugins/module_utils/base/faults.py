# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a program that a service manager starts again and again prints when it fails for a reason nobody foresaw."""

from __future__ import annotations

import sys
import traceback

#: Its beginning and its end: an exception's text may be as long as what it quotes.
TOLD_CHARACTERS = 8192


def tell_briefly():
    """From here on, an exception that nobody handles is printed in a bounded number of characters."""
    sys.excepthook = _told


def _told(kind, error, trace):
    told = "".join(traceback.format_exception(kind, error, trace))
    half = TOLD_CHARACTERS // 2
    if len(told) > TOLD_CHARACTERS:
        told = f"{told[:half]}\n… {len(told) - 2 * half} characters left out …\n{told[-half:]}"
    sys.stderr.write(told)
