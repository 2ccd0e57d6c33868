# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Fetches a pinned source distribution through the package index that pip is configured for, without running it.

``pip download`` asks a source distribution's build backend for metadata, for which it would first install that
backend and then run the package's code. Nothing of that is wanted to fetch a file. So pip runs without build
isolation and finds, under the backend's name, a module of ours that answers with the name and version that are
known already (docs/decisions/0004-fetching-a-source-distribution.md).
"""

from __future__ import annotations

import glob
import os
import re
import sys
import tarfile
import tempfile

from . import commands
from .errors import LlamaCppError
from .files import make_directories, sha256_of

BACKEND_PACKAGE, BACKEND_MODULE = "scikit_build_core", "build"

BACKEND = """
import os

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name = "{name}-{version}.dist-info"
    os.mkdir(os.path.join(directory, name))
    with open(os.path.join(directory, name, "METADATA"), "w") as stream:
        stream.write("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
    return name
"""

#: "Progress 1234 of 5678", which pip prints from version 24.1 on with --progress-bar raw.
RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


def fetch(package, version, sha256, directory, progress):
    """Download the source distribution into ``directory`` and return its path.

    A file that is there already and has the hash is taken as it is. Raises LlamaCppError.
    """
    present = downloaded(package, version, directory)
    if present and sha256_of(present) == sha256:
        return present
    with tempfile.TemporaryDirectory() as scratch:
        requirement = os.path.join(scratch, "requirements.txt")
        with open(requirement, "w", encoding="utf-8") as stream:
            stream.write(f"{package}=={version} --hash=sha256:{sha256}\n")
        _write_backend(scratch, package, version)
        own = pip(scratch)
        command = [*own, "download", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
        command += ["--no-build-isolation", "--require-hashes", "-r", requirement, "-d", directory]
        if _version_of(own) >= (24, 1):
            command += ["--progress-bar", "raw"]
        commands.check(
            command,
            f"Downloading the source of {package} {version}",
            "Nothing was changed. See that a package index is reachable with pip's own configuration "
            "(python3 -m pip config list), then run the play again.",
            on_line=lambda line: _show(line, progress),
            environment={**os.environ, "PYTHONPATH": scratch},
        )
    path = downloaded(package, version, directory)
    if path is None:
        raise LlamaCppError(f"pip reported success but left no source of {package} {version} in {directory}.")
    return path


def downloaded(package, version, directory):
    """The path of the source distribution in ``directory``, or None."""
    stem = "{}-{}.tar.gz".format(re.sub(r"[-_.]+", "[-_.]", package), version)
    return next(iter(sorted(glob.glob(os.path.join(glob.escape(directory), stem)))), None)


def root_of(path):
    """The directory that a source distribution unpacks into."""
    with tarfile.open(path) as archive:
        return archive.next().name.split("/")[0]


def _show(line, progress):
    step = RAW_PROGRESS.search(line)
    if step:
        progress.update("downloading", int(step.group(1)), int(step.group(2)), unit="bytes")
    else:
        progress.heartbeat()


def _write_backend(directory, package, version):
    make_directories(os.path.join(directory, BACKEND_PACKAGE))
    name = re.sub(r"[-_.]+", "_", package)
    texts = {"__init__": "", BACKEND_MODULE: BACKEND.format(name=name, package=package, version=version)}
    for module, text in texts.items():
        with open(os.path.join(directory, BACKEND_PACKAGE, module + ".py"), "w", encoding="utf-8") as stream:
            stream.write(text)


def pip(scratch):
    """A command that runs pip: this Python's own, else one in a scratch environment that uv makes."""
    own = [sys.executable, "-m", "pip"]
    if commands.output_of([*own, "--version"]) is not None:
        return own
    uv, environment = commands.find("uv"), os.path.join(scratch, "environment")
    if uv and commands.output_of([uv, "venv", "--seed", "--python", sys.executable, environment]) is not None:
        return [os.path.join(environment, "bin", "python"), "-m", "pip"]
    raise LlamaCppError(
        f"{sys.executable} has no pip and there is no uv, so the source cannot be fetched from the package index. "
        "Nothing was changed. Install either (Debian and Ubuntu: sudo apt-get install python3-pip), or set "
        'engine.source to "git", then run the play again.'
    )


def _version_of(command):
    match = re.match(r"pip (\d+)\.(\d+)", commands.output_of([*command, "--version"]) or "")
    return tuple(int(part) for part in match.groups()) if match else (0, 0)
