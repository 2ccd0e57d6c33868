# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Virtual environments that hold exactly the packages of one hash-pinned requirements file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import tempfile

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.files import make_directories, write_atomically
from ..ownership import trees

#: The name in a requirement that holds for every Python and platform.
UNCONDITIONAL = re.compile(r"^([A-Za-z0-9][\w.-]*)==[^;\n]*$", re.MULTILINE)

#: Imports what the distributions consist of that are named as arguments.
PROOF = """
import importlib, importlib.metadata, sys
for name in sys.argv[1:]:
    for file in importlib.metadata.distribution(name).files or ():
        if len(file.parts) == 2 and file.name == "__init__.py":
            importlib.import_module(file.parts[0])
        elif len(file.parts) == 1 and file.suffix == ".py":
            importlib.import_module(file.stem)
"""

#: What pip's configuration may say about the place of packages, outweighed.
PLACE = ("--no-user", "--target", "", "--root", "/", "--prefix")


#: The options of a module that makes one.
OPTIONS = {
    "path": {"type": "path", "required": True},
    "requirements": {"type": "str", "required": True},
    "bundle": {"type": "path"},
    "uv": {"type": "path"},
}


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
        """Make it anew: with uv, where the host has it, else with pip. uv does not read pip's configuration, which may
        name the only index that can be reached, so pip is tried, too, where uv fails.

        Raises LlamaCppError with what they printed.
        """
        with tempfile.TemporaryDirectory() as scratch:
            packages = self._packages(scratch)
            failures = []
            for make, install in self._installers():
                try:
                    self._make([make, [*install, *packages]] if packages else [make], progress)
                    break
                except LlamaCppError as error:
                    failures.append(str(error))
            else:
                raise LlamaCppError("\n".join([*failures, self._remedy(failures)]))
        with contextlib.suppress(FileNotFoundError):  # uv lets everybody write to it, whatever the umask
            os.chmod(os.path.join(self.path, ".lock"), 0o644)
        trees.note_files(self.path)
        write_atomically(self._stamp, self._digest + "\n")

    def _installers(self):
        """The commands of each program that can install, as they are needed."""
        uv = self._uv or commands.find("uv")
        if uv:
            yield self._commands_of_uv(uv)
        if _has_venv():
            yield self._commands_of_pip()

    def _make(self, steps, progress):
        """Run the commands ``steps`` and see that what is wanted was installed."""
        shutil.rmtree(self.path, ignore_errors=True)
        make_directories(os.path.dirname(self.path))
        what = f"Installing the Python environment {self.path}"
        for command in steps:
            progress.update("installing Python packages")
            commands.check(command, what, on_line=lambda _line: progress.heartbeat())
        wanted = UNCONDITIONAL.findall(self._requirements)
        commands.check([self.python, "-I", "-c", PROOF, *wanted], f"{what}: importing what it is to have")

    def _commands_of_uv(self, uv):
        """How uv makes an empty environment, and installs into it."""
        make = [uv, "venv", "--quiet", "--python", sys.executable, self.path]
        return make, [uv, "pip", "install", "--quiet", "--python", self.python]

    def _commands_of_pip(self):
        """How pip does."""
        pip = [self.python, "-m", "pip", "--disable-pip-version-check"]
        return [sys.executable, "-m", "venv", self.path], [*pip, "install", "--quiet", "--no-deps", *PLACE, self.path]

    def _packages(self, scratch):
        """What is to be installed, as arguments; nothing where there are no requirements."""
        if not self._requirements:
            return []
        requirements_file, wheels = (os.path.join(scratch, name) for name in ("requirements.txt", "wheels"))
        with open(requirements_file, "w", encoding="utf-8") as stream:
            stream.write(self._requirements)
        offline = []
        if self._bundle:
            make_directories(wheels)
            self._bundle.extract("wheels", wheels)
            offline = ["--no-index", "--find-links", wheels]
        # The hash of a source distribution covers it, but not what is fetched and run to make a wheel of it.
        return [*offline, "--only-binary", ":all:", "--require-hashes", "-r", requirements_file]

    def _remedy(self, failures):
        if not failures:
            return (
                f"{sys.executable} has no venv module, so {self.path} cannot be made. Nothing was changed. "
                "Install it (Debian and Ubuntu: sudo apt-get install python3-venv) or uv, then run the play again."
            )
        if self._bundle:
            return (
                f"The packages in {self._bundle.path} are for Python {self._bundle.facts['python']} and this is "
                f"{sys.executable}; make a bundle with a Python like this one, then run the play again."
            )
        return (
            "Packages are taken as wheels only. See that a package index that has them is reachable with pip's own "
            "configuration, then run the play again."
        )


def _has_venv():
    """Whether this Python can make an environment with pip; Debian has what it takes in another package."""
    return commands.output_of([sys.executable, "-c", "import venv, ensurepip"]) is not None
