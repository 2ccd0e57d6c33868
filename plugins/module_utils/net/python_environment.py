# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Virtual environments that hold exactly the packages of one hash-pinned requirements file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.files import make_directories, write_atomically
from ..ownership import trees


class PythonEnvironment:
    """A virtual environment at ``path`` for the text ``requirements`` (pip's format, hashes included).

    :param bundle: the Bundle that has the packages, or None for the package index.
    :param uv: path of uv, when it was found already.
    """

    def __init__(self, path, requirements, bundle=None, uv=None):
        self.path = path
        self.python = os.path.join(path, "bin", "python")
        self._requirements = requirements
        self._bundle = bundle
        self._uv = uv
        self._digest = hashlib.sha256(requirements.encode()).hexdigest()
        self._stamp = os.path.join(path, trees.COMPLETE)

    def is_ready(self):
        """Whether it was installed to the end from these requirements and its Python still runs."""
        try:
            with open(self._stamp, encoding="ascii") as stream:
                installed = stream.read().strip()
        except OSError:
            return False
        return installed == self._digest and commands.output_of([self.python, "-I", "-c", "pass"]) is not None

    def require_ours(self):
        """Raise LlamaCppError where something stands in its place that would be lost if it were made anew."""
        trees.require_ours(self.path, f"The Python environment {self.path}")

    def install(self, progress):
        """Make it anew. Raises LlamaCppError with what pip or uv printed."""
        shutil.rmtree(self.path, ignore_errors=True)
        make_directories(os.path.dirname(self.path))
        with tempfile.TemporaryDirectory() as scratch:
            requirements_file, wheels = (os.path.join(scratch, name) for name in ("requirements.txt", "wheels"))
            with open(requirements_file, "w", encoding="utf-8") as stream:
                stream.write(self._requirements)
            remedy = (
                "Packages are taken as wheels only. See that a package index that has them is reachable with pip's own "
                "configuration, then run the play again."
            )
            if self._bundle:
                make_directories(wheels)
                self._bundle.extract("wheels", wheels)
                remedy = (
                    f"The packages in {self._bundle.path} are for Python {self._bundle.facts['python']} and this is "
                    f"{sys.executable}; make a bundle with a Python like this one, then run the play again."
                )
            for command in self._commands(self._uv or commands.find("uv"), requirements_file, wheels):
                progress.update("installing Python packages")
                commands.check(
                    command,
                    f"Installing the Python environment {self.path}",
                    remedy,
                    on_line=lambda _line: progress.heartbeat(),
                )
        with contextlib.suppress(FileNotFoundError):  # uv lets everybody write to it, whatever the umask
            os.chmod(os.path.join(self.path, ".lock"), 0o644)
        trees.note_files(self.path)
        write_atomically(self._stamp, self._digest + "\n")

    def _commands(self, uv, requirements_file, wheels):
        if uv:
            yield [uv, "venv", "--quiet", "--python", sys.executable, self.path]
            install = [uv, "pip", "install", "--quiet", "--python", self.python]
        else:
            if commands.output_of([sys.executable, "-c", "import venv, ensurepip"]) is None:
                raise LlamaCppError(
                    f"{sys.executable} has no venv module, so {self.path} cannot be made. Nothing was changed. "
                    "Install it (Debian and Ubuntu: sudo apt-get install python3-venv) or uv, then run the play again."
                )
            yield [sys.executable, "-m", "venv", self.path]
            install = [self.python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
        if self._bundle:
            install += ["--no-index", "--find-links", wheels]
        if self._requirements:
            # The hash of a source distribution covers it, but not what is fetched and run to make a wheel of it.
            yield [*install, "--only-binary", ":all:", "--require-hashes", "-r", requirements_file]
