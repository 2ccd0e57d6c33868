# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The editor of this user."""

from __future__ import annotations

import os
import shlex
import subprocess

from .core.base.errors import LlamaCppError
from .errors import UsageError


def edit_file(environment, path):
    """Start the editor on the file ``path``, which is for its owner alone. Raises LlamaCppError when it fails."""
    editor = environment.environ.get("VISUAL") or environment.environ.get("EDITOR") or "vi"
    umask = os.umask(0o077)
    try:
        status = subprocess.run([*shlex.split(editor), path], check=False).returncode
    except OSError as error:
        raise UsageError(f'the editor "{editor}" cannot be started: {error.strerror}. Set VISUAL or EDITOR.') from error
    finally:
        os.umask(umask)
    if status:
        raise LlamaCppError(f'the editor "{editor}" ended with status {status}.')
