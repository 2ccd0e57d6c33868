# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Fetches a pinned source distribution through the package index that pip is configured for, without running it.

``pip download`` asks a source distribution's build backend for metadata, for which it would first install that
backend and then run the package's code. Nothing of that is wanted to fetch a file. So pip runs without build
isolation, and whatever backend the package names, the process that pip starts for it is given a module of ours, which
answers with the name and version that are known already (docs/decisions/0004-fetching-a-source-distribution.md).
"""

from __future__ import annotations

import glob
import os
import re
import sys
import tempfile

try:
    import ensurepip
except ImportError:  # Debian has it in another package
    ensurepip = None

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.files import sha256_of
from ..net.python_environment import PythonEnvironment
from . import archive

BACKEND_MODULE = "llama_cpp_no_backend"

BACKEND = """
import os

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    name = "{name}-{version}.dist-info"
    os.mkdir(os.path.join(directory, name))
    with open(os.path.join(directory, name, "METADATA"), "w") as stream:
        stream.write("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
    return name
"""

#: Every Python imports this module as it starts. By these variables pip tells the process that asks a backend which
#: one it is and where in the package it lies (pyproject_hooks/_in_process, before pip 23.1 pep517/in_process; the path
#: is in BACKEND_PATH, as of pip 26.3 in BACKEND_PATH_JSON).
SITE = f"""
import os

for prefix in ("_PYPROJECT_HOOKS_", "PEP517_"):
    for name in list(os.environ):
        if name == prefix + "BUILD_BACKEND":
            os.environ[name] = "{BACKEND_MODULE}"
        elif name.startswith(prefix + "BACKEND_PATH"):
            del os.environ[name]
"""

#: From this version on pip asks backends only, even for a package that has nothing but a setup.py.
WITHOUT_SETUP_PY = (25, 3)

#: What runs where a host's Python has no pip: this one, and not whichever is the newest on the index.
PIP = "pip==25.3 --hash=sha256:9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd\n"

#: "Progress 1234 of 5678", which pip prints from version 24.1 on with --progress-bar raw.
RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


def fetch(package, version, sha256, directory, progress):
    """Download the source distribution into ``directory`` and return its path.

    A file that is there already and has the hash is taken as it is. Raises LlamaCppError.
    """
    present = downloaded(package, version, sha256, directory)
    if present:
        return present
    with tempfile.TemporaryDirectory() as scratch:
        requirement = os.path.join(scratch, "requirements.txt")
        with open(requirement, "w", encoding="utf-8") as stream:
            stream.write(f"{package}=={version} --hash=sha256:{sha256}\n")
        _write_backend(scratch, package, version)
        own = pip(scratch, progress)
        command = [*own, "download", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
        command += ["--no-build-isolation", "--require-hashes", "-r", requirement, "-d", directory]
        if _version_of(own) < WITHOUT_SETUP_PY:
            command.append("--use-pep517")
        if _version_of(own) >= (24, 1):
            command += ["--progress-bar", "raw"]
        commands.check(
            command,
            f"Downloading the source of {package} {version}",
            "Nothing was changed. See that a package index is reachable with pip's own configuration "
            "(python3 -m pip config list), then run the play again.",
            on_line=lambda line: _show(line, progress),
            environment=environment(PYTHONPATH=scratch),
        )
    path = downloaded(package, version, sha256, directory)
    if path is None:
        raise LlamaCppError(f"pip reported success but left no source of {package} {version} in {directory}.")
    return path


def downloaded(package, version, sha256, directory):
    """The path of the source distribution in ``directory``, or None.

    Known by its hash: a name is written in several ways, and another file may lie there under one of them.
    """
    stem = "{}-{}.tar.gz".format(re.sub(r"[-_.]+", "[-_.]", package), version)
    found = sorted(glob.glob(os.path.join(glob.escape(directory), stem)))
    return next((path for path in found if os.path.isfile(path) and sha256_of(path) == sha256), None)


def _show(line, progress):
    step = RAW_PROGRESS.search(line)
    if step:
        progress.update("downloading", int(step.group(1)), int(step.group(2)), unit="bytes")
    else:
        progress.heartbeat()


def _write_backend(directory, package, version):
    name = re.sub(r"[-_.]+", "_", package)
    texts = {"sitecustomize": SITE, BACKEND_MODULE: BACKEND.format(name=name, package=package, version=version)}
    for module, text in texts.items():
        with open(os.path.join(directory, module + ".py"), "w", encoding="utf-8") as stream:
            stream.write(text)


def pip(scratch, progress):
    """A command that runs pip: this Python's own, else a pinned one in a scratch environment that uv makes."""
    own = [sys.executable, "-m", "pip"]
    if commands.output_of([*own, "--version"]) is not None:
        return own
    for wheel in _carried_wheels():
        unpacked = os.path.join(scratch, "pip")  # from the archive itself it would be compiled at every start
        archive.unpack(wheel, unpacked)
        return [sys.executable, os.path.join(unpacked, "pip")]
    if commands.find("uv"):
        made = PythonEnvironment(os.path.join(scratch, "environment"), PIP)
        made.install(progress)
        return [made.python, "-m", "pip"]
    raise LlamaCppError(
        f"{sys.executable} has no pip and there is no uv, so the source cannot be fetched from the package index. "
        "Nothing was changed. Install either (Debian and Ubuntu: sudo apt-get install python3-pip), or set "
        'engine.source to "git", then run the play again.'
    )


def environment(**variables):
    """The environment for that command. A pip that may install into virtual environments only may still fetch a file;
    a variable outweighs what pip's configuration says."""
    return {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", **variables}


def _carried_wheels():
    """What this Python itself puts into new environments (ensurepip)."""
    directory = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled") if ensurepip else ""
    return glob.glob(os.path.join(glob.escape(directory), "pip-*.whl"))


def _version_of(command):
    match = re.match(r"pip (\d+)\.(\d+)", commands.output_of([*command, "--version"]) or "")
    return tuple(int(part) for part in match.groups()) if match else (0, 0)
