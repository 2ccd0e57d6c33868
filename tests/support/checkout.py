# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The files of the checkout, without what builds and tests leave in it."""

import fnmatch
import os
import shutil
import subprocess

from support.paths import REPOSITORY


def names():
    """The paths of all files that git tracks or would track, relative to the checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True).stdout.split(b"\0")
    return [name for name in map(os.fsdecode, found) if name and os.path.lexists(REPOSITORY / name)]


def copy_to(target, left_out=()):
    """Copy the files of the checkout to the directory ``target``, except ``left_out`` (patterns of paths as in
    galaxy.yml, each with what is below). Links stay links."""
    patterns = [pattern + below for pattern in left_out for below in ("", "/*")]
    for name in names():
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target / name, follow_symlinks=False)
