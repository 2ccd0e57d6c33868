# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""An API key of this machine's own server."""

from __future__ import annotations

import os
import secrets
import string

from ..base.files import make_directories, write_atomically

KEY_LENGTH = 48
KEY_MODE = 0o600
KEY_ALPHABET = string.ascii_letters + string.digits


def generate(path):
    """Write a random key to ``path``, readable by its owner only; it is on no wire and in no result."""
    key = "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_LENGTH))
    make_directories(os.path.dirname(path))
    write_atomically(path, key + "\n", KEY_MODE)
