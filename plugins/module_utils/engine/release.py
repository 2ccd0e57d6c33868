# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Releases of llama.cpp on a host: what identifies one, whether it works, and which one is current.

<engine_dir>/releases/<version>-<fingerprint>/bin/…       the programs
<engine_dir>/releases/<version>-<fingerprint>/stamp.json  where they came from, and that they passed the self-test
<engine_dir>/current -> releases/…                        switched by rename (engine/store.py)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile

from ..base.errors import LlamaCppError
from ..base.files import make_directories, read_json, sha256_of, write_json_atomically
from ..ownership import trees
from ..ownership.file_tree import parts_of
from . import build_options, toolchain
from .libraries import libraries_of
from .store import FINGERPRINT_DIGITS, SERVER, STAMP, build_info_of, current_release, stamp_of

#: Sources whose programs stay where they are and are linked to.
ADOPTED = ("existing", "homebrew")

#: The source of a release that comes out of a bundle (offline/bundle.py) as it is.
BUNDLE = "bundle"

#: The layout of a release directory. Raised when it changes, so that older ones are built anew.
LAYOUT = 1


class Release:
    """The release that a plan asks for, on one host.

    :param engine: the ``engine`` part of the plan.
    :param engine_dir: the directory that holds all releases.
    :param system: ``Darwin`` or ``Linux``.
    """

    def __init__(self, engine, engine_dir, system):
        self.engine = engine
        self.engine_dir = engine_dir
        self.system = system
        if engine["source"] == BUNDLE:
            self.name = engine["version"]  # as it was named where it was made
        else:
            self.identity = self._identity()
            self.fingerprint = digest(self.identity)
            self.name = f"{label(engine)}-{self.fingerprint}"
        self.path = os.path.join(engine_dir, "releases", self.name)
        self.build_path = os.path.join(engine_dir, "build", self.name)
        #: Where its sources or programs are unpacked. The same for all options: a compiler cache knows them again.
        self.source_path = os.path.join(engine_dir, "src", f"{label(engine)}-{digest(_origin(engine))}")

    def _identity(self):
        """Everything that changes the binaries, as a JSON-compatible dict."""
        engine = self.engine
        identity = {"layout": LAYOUT, "source": engine["source"], "version": engine["version"]}
        if engine["source"] in ADOPTED:
            return {**identity, **_existing_identity(engine)}
        if engine["source"] == "release":
            return {**identity, "origin": engine["archive"]["sha256"]}
        #: What compiles it, and for which processor.
        self.toolchain = toolchain.identity(self.system, native=engine["options"].get("GGML_NATIVE") == "ON")
        return {
            **identity,
            "origin": _origin(engine),
            **_tagged(engine),
            **({"web_ui": engine["web_ui"]["sha256"]} if "web_ui" in engine else {}),
            "targets": engine["targets"],
            "options": engine["options"],
            "our_options": digest(build_options.TEXT),
            **self.toolchain,
        }

    def program(self, name=SERVER):
        """The path of a program of this release."""
        return os.path.join(self.path, "bin", name)

    def state(self):
        """What of this release is on the host.

        Returns ``usable`` (it is complete and runs), ``selftested``, ``current``, ``build_info`` (as the server
        tells it, None when not usable) and ``why_not`` (a sentence when not usable).
        """
        stamp = stamp_of(self.engine_dir, self.name)
        why_not, build_info = None, None
        if not stamp:
            why_not = "it is not installed"
        else:
            missing = [name for name in stamp.get("programs", []) if not os.path.exists(self.program(name))]
            build_info = None if missing else build_info_of(self.program())
            if missing:
                why_not = "{} is missing".format(", ".join(missing))
            elif build_info is None:
                why_not = f"{self.program()} does not run"
        return {
            "usable": why_not is None,
            "why_not": why_not,
            "build_info": build_info,
            "selftested": bool(stamp.get("selftest")) and why_not is None,
            "current": current_release(self.engine_dir) == self.name,
        }

    def install(self, programs):
        """Put programs (name -> path to copy, or to link for an existing engine) under the final name, in one rename.

        Raises LlamaCppError when the server among them does not run.
        """
        releases = os.path.dirname(self.path)
        make_directories(releases)
        staging = tempfile.mkdtemp(prefix=f".{self.name}.", dir=releases)
        try:
            os.chmod(staging, 0o755)
            make_directories(os.path.join(staging, "bin"))
            for name, path in programs.items():
                target = os.path.join(staging, "bin", name)
                if self.engine["source"] in ADOPTED:
                    os.symlink(path, target)
                else:
                    shutil.copy2(path, target)
                    os.chmod(target, 0o755 if os.access(path, os.X_OK) else 0o644)
            server = os.path.join(staging, "bin", SERVER)
            build_info = build_info_of(server)
            if build_info is None:
                raise LlamaCppError(
                    f"{programs.get(SERVER, SERVER)} does not run on this host ({SERVER} --version failed), "
                    "so it was not installed. What served before is unchanged."
                )
            stamp = {"programs": sorted(programs), "build_info": build_info, "identity": self.identity}
            if self.engine["source"] not in ADOPTED:
                stamp["sha256"] = {name: sha256_of(os.path.join(staging, "bin", name)) for name in programs}
            write_json_atomically(os.path.join(staging, STAMP), stamp)
            self._replace(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def unpack(self, bundle):
        """Take the release out of a Bundle. It has to pass the self-test here as well.

        Raises LlamaCppError when its server does not run.
        """
        releases = os.path.dirname(self.path)
        make_directories(releases)
        staging = tempfile.mkdtemp(prefix=f".{self.name}.", dir=releases)
        try:
            os.chmod(staging, 0o755)
            bundle.extract(f"engine/{self.name}", staging)
            build_info = build_info_of(os.path.join(staging, "bin", SERVER))
            if build_info is None:
                raise LlamaCppError(
                    f"The {SERVER} in {bundle.path} does not run on this host ({SERVER} --version failed), so it was "
                    "not installed. What served before is unchanged. Make a bundle on a host like this one, from "
                    'sources (engine.source "pypi" or "git") with {"GGML_NATIVE": false} in engine.cmake_options.'
                )
            stamp = os.path.join(staging, STAMP)
            write_json_atomically(stamp, _unproved(read_json(stamp), build_info, bundle.path))
            self._replace(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _replace(self, staging):
        """Rename ``staging`` to the final name; what stood there (something unusable) goes."""
        if os.path.lexists(self.path):
            trees.require_ours(self.path, f"The release {self.path}")
            discarded = tempfile.mkdtemp(prefix=".discarded.", dir=os.path.dirname(self.path))
            os.rename(self.path, os.path.join(discarded, self.name))
            os.rename(staging, self.path)
            shutil.rmtree(discarded, ignore_errors=True)
        else:
            os.rename(staging, self.path)


def _unproved(stamp, build_info, source):
    """A stamp out of the bundle ``source`` as it may be kept here, where the self-test is still to come and the server
    was asked for its ``build_info``.

    The names in it become paths. Raises LlamaCppError when they are not the plain ones that :meth:`Release.install`
    notes.
    """
    programs = stamp.get("programs") if isinstance(stamp, dict) else None
    names = programs if isinstance(programs, list) else [None]
    if not all(isinstance(name, str) and parts_of(name) == [name] for name in names) or SERVER not in names:
        raise LlamaCppError(
            f"llama_cpp_bundle: {source} is damaged: the {STAMP} of its release does not name its programs. It was not "
            "installed, and what served before is unchanged. Make it anew: ansible-playbook playbooks/bundle.yml"
        )
    sums = stamp.get("sha256")
    kept = {"sha256": sums} if isinstance(sums, dict) else {}
    return {"programs": names, "build_info": build_info, "identity": stamp.get("identity"), **kept}


def label(engine):
    """A short name for people: the tag, the first digits of the commit, ``existing`` or ``homebrew``."""
    if engine["source"] in ADOPTED:
        return engine["source"]
    version = engine["version"]
    return version[:7] if re.fullmatch(r"[0-9a-f]{40}", version) else version


def _origin(engine):
    """What tells the source of ``engine`` from others of the same version. An archive is what its hash says."""
    return engine.get("pypi") or engine.get("archive", {}).get("sha256") or engine.get("url")


def _tagged(engine):
    """The commit that a tag was when it was recorded. What stands under the same tag later is another release."""
    commit = engine.get("commit")
    return {} if commit in (None, engine["version"]) else {"commit": commit}


def digest(facts):
    """The digits that stand for JSON-compatible ``facts`` in names."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def existing_programs(engine):
    """The llama.cpp programs that an adopted engine has in its path or in bin below it: name -> absolute path.

    Links are followed: the next upgrade by Homebrew leads them elsewhere, and is to be tested before it serves.
    Raises LlamaCppError when there is no server among them.
    """
    path = engine["path"]
    for directory in (path, os.path.join(path, "bin")):
        if os.access(os.path.join(directory, SERVER), os.X_OK):
            return {
                name: os.path.realpath(os.path.join(directory, name))
                for name in sorted(os.listdir(directory))
                if name.startswith(("llama-", "ggml-")) and os.access(os.path.join(directory, name), os.X_OK)
            }
    if engine["source"] == "homebrew":
        raise LlamaCppError(
            f'engine.source: the formula "llama.cpp" is not installed: there is no {path}. Nothing was changed. '
            "Install it, then run the play again: brew install llama.cpp"
        )
    raise LlamaCppError(
        f"engine.path: there is no executable {SERVER} in {path} nor in its bin directory. Nothing was changed. "
        "Point engine.path at the directory that holds it."
    )


def prebuilt_programs(tree):
    """Everything beside the llama-server in an unpacked release, its libraries included: name -> absolute path."""
    for directory, _directories, names in sorted(os.walk(tree)):
        if SERVER in names:
            return {name: os.path.join(directory, name) for name in sorted(names)}
    raise LlamaCppError(
        f"There is no {SERVER} in the unpacked archive, so it is no release of programs. Nothing was changed. For "
        'sources set engine.source to "archive", then run the play again.'
    )


def _existing_identity(engine):
    programs = existing_programs(engine)
    server = os.stat(programs[SERVER])
    return {
        "path": engine["path"],
        "programs": sorted(programs),
        "server_bytes": server.st_size,
        "server_mtime_ns": server.st_mtime_ns,
        "libraries": libraries_of(programs[SERVER]),
    }
