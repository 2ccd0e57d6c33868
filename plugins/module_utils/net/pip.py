# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""pip as a downloader: files of packages from the index that the host is configured for.

Index, proxies and credentials are those of pip's own configuration. A host whose Python has no pip gets one for the
time of the download.
"""

from __future__ import annotations

import glob
import os
import re
import sys
import zipfile

try:
    import ensurepip
except ImportError:  # Debian has it in another package
    ensurepip = None

from ..base import commands
from ..base.commands import CommandFailed
from .python_environment import PythonEnvironment

#: What runs where a host's Python has no pip: this one, and not whichever is the newest on the index.
PINNED = "pip==25.3 --hash=sha256:9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd\n"

#: "Progress 1234 of 5678", which pip prints with --progress-bar raw, and the first version that does.
RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
HAS_RAW_PROGRESS = (24, 1)

REACH_AN_INDEX = "See that a package index is reachable with pip's own configuration (python3 -m pip config list)"


class Pip:
    """A command that runs pip: this Python's own, else one that is made in the directory ``scratch``.

    :raises CommandFailed: none can be had.
    """

    def __init__(self, scratch, progress):
        self._progress = progress
        self.command = _command(scratch, progress)
        match = re.match(r"pip (\d+)\.(\d+)", commands.output_of([*self.command, "--version"]) or "")
        self.version = tuple(int(part) for part in match.groups()) if match else (0, 0)

    def download(self, arguments, directory, what, remedy, **variables):
        """Run ``pip download`` into ``directory``, without dependencies; ``arguments`` name what is wanted.

        :param what: begins the error, ``remedy`` ends it (:func:`~..base.commands.check`).
        :param variables: of the environment that pip runs in.
        :raises CommandFailed:
        """
        shown = ["--progress-bar", "raw"] if self.version >= HAS_RAW_PROGRESS else []
        commands.check(
            [
                *self.command,
                "download",
                "--disable-pip-version-check",
                "--no-deps",
                *shown,
                *arguments,
                "-d",
                directory,
            ],
            what,
            remedy,
            on_line=self._show,
            environment=environment(**variables),
        )

    def _show(self, line):
        step = RAW_PROGRESS.search(line)
        if step:
            self._progress.update("downloading", int(step.group(1)), int(step.group(2)), unit="bytes")
        else:
            self._progress.heartbeat()


def environment(**variables):
    """The environment for that command. A pip that may install into virtual environments only may still fetch a file;
    a variable outweighs what pip's configuration says."""
    return {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", **variables}


def _command(scratch, progress):
    own = [sys.executable, "-m", "pip"]
    if commands.output_of([*own, "--version"]) is not None:
        return own
    for wheel in _carried_wheels():
        unpacked = os.path.join(scratch, "pip")  # from the archive itself it would be compiled at every start
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
        return [sys.executable, os.path.join(unpacked, "pip")]
    if commands.find("uv"):
        made = PythonEnvironment(os.path.join(scratch, "environment"), PINNED)
        made.install(progress)
        return [made.python, "-m", "pip"]
    raise CommandFailed(
        f"{sys.executable} has no pip and there is no uv, so nothing can be fetched from the package index. "
        "Nothing was changed. Install either (Debian and Ubuntu: sudo apt-get install python3-pip), then run the play "
        "again."
    )


def _carried_wheels():
    """What this Python itself puts into new environments (ensurepip)."""
    directory = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled") if ensurepip else ""
    return glob.glob(os.path.join(glob.escape(directory), "pip-*.whl"))
