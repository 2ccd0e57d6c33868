# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a file can be read, found out without being held up by it, and what macOS has to do with it.

macOS keeps what launchd starts away from other disks and from some folders of the user: to open a file there fails
with "Operation not permitted", or never returns, while the same works in a terminal (docs/macos.md).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

VOLUME = re.compile(r"^/Volumes/[^/]+")
FOLDERS = ("Documents", "Downloads", "Desktop")
PATIENCE_SECONDS = 20

#: Another process asks, since nothing ends one that is held up; its exit status is the number of the error.
PROBE = """
import sys
try:
    open(sys.argv[1], "rb").read(1)
except OSError as error:
    sys.exit(error.errno)
"""


def why_unreadable(path, seconds=PATIENCE_SECONDS):
    """Why not a single byte of ``path`` can be read, or None when one can."""
    reader = subprocess.Popen(
        [sys.executable, "-I", "-c", PROBE, path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        code = reader.wait(seconds)
    except subprocess.TimeoutExpired:
        reader.kill()
        return f"nothing came within {seconds:g} s"
    return os.strerror(code) if code else None


def guarded_place(path, home=None, platform=sys.platform):
    """The disk or folder, kept by macOS, in which ``path`` really lies, or None."""
    if platform != "darwin":
        return None
    path = os.path.realpath(path)
    volume = VOLUME.match(path)
    if volume:
        return volume.group(0)
    folders = [os.path.join(os.path.realpath(home or os.path.expanduser("~")), name) for name in FOLDERS]
    return next((folder for folder in folders if path.startswith(folder + "/")), None)


def advice(path, place):
    """What to do about ``path``, which cannot be read; ``place`` is its :func:`guarded_place`."""
    if place is None:
        return f"To see it yourself: ls -lL '{path}'"
    if VOLUME.match(place) and not os.path.ismount(place):
        return f"The disk {place} is not connected: connect it, then run the play again or: llm-manager start"
    return (
        f"macOS keeps programs that launchd starts away from {place}: move the model to the internal disk, outside "
        "Documents, Downloads and Desktop. Or allow it at the Mac, for each program anew after every update: System "
        "Settings, Privacy & Security, Full Disk Access"
    )


def may_be_refused(place):
    """What somebody should know whose model lies in ``place``."""
    return (
        "This play can read it, and still launchd's programs may not read %s. If the server says so, move the model to "
        "the internal disk." % place
    )
