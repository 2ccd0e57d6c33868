# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The files of the checkout, without what builds and tests leave in it."""

import os
import shutil
import subprocess

from support.paths import REPOSITORY


def names():
    """The paths of all files that git tracks or would track, relative to the checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True).stdout.split(b"\0")
    return [name for name in map(os.fsdecode, found) if name and os.path.lexists(REPOSITORY / name)]


def copy_to(target):
    """Copy the files of the checkout to the directory ``target``; links stay links."""
    for name in names():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target / name, follow_symlinks=False)
