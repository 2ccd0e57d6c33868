# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What of an installation goes into a bundle (offline/bundle.py)."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile

from ..base.errors import LlamaCppError
from ..base.files import make_directories, sha256_of
from ..engine.store import current_release, stamp_of
from ..models.shards import shard_names
from ..models.verification import VerificationRecord
from ..net.pip import REACH_AN_INDEX, Pip
from . import bundle
from .facts import FORMAT, this_platform


class BundleContent:
    """The content of a bundle, made on the host that it is taken from.

    :param engine_dir: the directory of the releases; the current one is taken.
    :param models: the files of the models.
    :param requirements: texts of hash-pinned requirements files.
    :param texts: name in the bundle -> text, for what is not on the host.
    """

    def __init__(self, engine_dir, models, requirements, texts):
        self.release = current_release(engine_dir)
        self._release_dir = os.path.join(engine_dir, "releases", self.release or "")
        if not self.release or not os.path.isdir(self._release_dir):
            raise self._missing(os.path.join(engine_dir, "current"))
        self._models = {os.path.basename(path): path for first in models for path in shard_names(first)}
        for path in self._models.values():
            if not os.path.isfile(path):
                raise self._missing(path)
        self._programs = stamp_of(engine_dir, self.release).get("sha256", {})
        self._requirements = [text for text in requirements if text]
        self._texts = texts
        self._facts = None

    @staticmethod
    def _missing(path):
        return LlamaCppError(
            f"There is no {path}, so there is no bundle of this installation. Nothing was changed. Run the play "
            "macos_setup first, then this again."
        )

    def facts(self):
        """What tells this content from another one; models are read only if they are not hashed yet."""
        if self._facts is None:
            content = hashlib.sha256("\0".join([*self._requirements, *map(str, sorted(self._texts.items()))]).encode())
            self._facts = {
                "format": FORMAT,
                "platform": this_platform(),
                "python": "{}.{}".format(*sys.version_info[:2]),
                "release": self.release,
                "models": {name: _model_facts(path) for name, path in sorted(self._models.items())},
                "content": content.hexdigest(),
            }
        return self._facts

    def pack(self, path, progress):
        """Write the bundle ``path``; wheels come through the package index that the host is configured for."""
        files = {"models/" + name: model for name, model in self._models.items()}
        for parent, _directories, names in os.walk(self._release_dir):
            inside = os.path.relpath(parent, os.path.dirname(self._release_dir))
            files.update({f"engine/{os.path.join(inside, name)}": os.path.join(parent, name) for name in names})
        with tempfile.TemporaryDirectory() as scratch:
            wheels = os.path.join(scratch, "wheels")
            make_directories(wheels)
            for requirements in self._requirements:
                _download(requirements, wheels, scratch, progress)
            files.update({"wheels/" + name: os.path.join(wheels, name) for name in os.listdir(wheels)})
            bundle.pack(path, self.facts(), self._texts, files, progress, self._expected())

    def _expected(self):
        """The hashes that were noted when the files were installed; the disk may have lost a bit since."""
        models = {"models/" + name: model["sha256"] for name, model in self.facts()["models"].items()}
        programs = {f"engine/{self.release}/bin/{name}": digest for name, digest in self._programs.items()}
        return {**models, **programs}


def _model_facts(path):
    record = VerificationRecord(path)
    return {
        "bytes": os.path.getsize(path),
        "sha256": record.valid_sha256 or sha256_of(path),
        "origin": record["origin"],
        "revision": record["revision"],
    }


def _download(requirements, directory, scratch, progress):
    progress.update("downloading Python packages")
    file = os.path.join(scratch, "requirements.txt")
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(requirements)
    Pip(scratch, progress).download(
        ["--only-binary", ":all:", "--require-hashes", "-r", file],
        directory,
        "Downloading the Python packages of the bundle",
        f"Nothing was changed. {REACH_AN_INDEX}, then run the play again.",
    )
