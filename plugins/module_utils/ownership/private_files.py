# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a file with a secret in it, a key or a token, is kept from others.

The rule is that of PostgreSQL for its private key: the user's own file is for the user alone; one of root may be read
by a group, as where a system keeps the keys of its certificates, and written by root alone.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat

from ..base.errors import LlamaCppError

#: What others must not have: of a file of the user's own, and of one of root.
OTHERS = stat.S_IRWXG | stat.S_IRWXO
OTHERS_THAN_ROOT = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


def why_exposed(path, user=None):
    """In what way others have the secret in ``path``, with the remedy; None when they have not, or no file is there.

    :param user: the id of the user who uses it; None for the one this runs as.
    """
    user = os.geteuid() if user is None else user
    try:
        found = os.stat(path)  # of the file that a link leads to
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    if found.st_uid not in (user, 0):
        owner, name = _name(found.st_uid), _name(user)
        return f"belongs to {owner} and not to {name}. Give it its owner: sudo chown {name} {shlex.quote(path)}"
    if found.st_mode & (OTHERS if found.st_uid == user else OTHERS_THAN_ROOT):
        right, mode = ("600", "") if found.st_uid == user else ("640", "sudo ")
        return (
            f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o}). Close it, and replace what is in it if "
            f"somebody may have read it: {mode}chmod {right} {shlex.quote(path)}"
        )
    return None


def refuse_exposed(path, subject):
    """Raise LlamaCppError, which begins with ``subject``, when :func:`why_exposed` says why not."""
    why = why_exposed(path)
    if why:
        raise LlamaCppError(f"{subject} {path} {why}")


def refuse_all_exposed(files):
    """Raise LlamaCppError with a line for each of ``files``, paths by setting, that :func:`why_exposed` finds open."""
    found = {setting: why_exposed(path) for setting, path in files.items()}
    lines = [f"{setting}: {files[setting]} {why}" for setting, why in found.items() if why]
    if lines:
        raise LlamaCppError("\n".join(lines) + "\nNothing was changed.")


def _name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
