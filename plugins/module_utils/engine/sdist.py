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
import tempfile

from ..base.errors import LlamaCppError
from ..base.files import sha256_of
from ..net.pip import REACH_AN_INDEX, Pip

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
        pip = Pip(scratch, progress)
        pip.download(
            [
                *("--no-binary", ":all:", "--no-build-isolation", "--require-hashes", "-r", requirement),
                *(["--use-pep517"] if pip.version < WITHOUT_SETUP_PY else []),
            ],
            directory,
            f"Downloading the source of {package} {version}",
            f'Nothing was changed. {REACH_AN_INDEX}, or set engine.source to "git", then run the play again.',
            PYTHONPATH=scratch,
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


def _write_backend(directory, package, version):
    name = re.sub(r"[-_.]+", "_", package)
    texts = {"sitecustomize": SITE, BACKEND_MODULE: BACKEND.format(name=name, package=package, version=version)}
    for module, text in texts.items():
        with open(os.path.join(directory, module + ".py"), "w", encoding="utf-8") as stream:
            stream.write(text)
