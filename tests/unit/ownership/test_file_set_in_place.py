# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a file set has something to do, told by digests: exactly when the module that installs it would change it."""

import hashlib
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.file_set import is_in_place
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from support.modules import run_module
from support.staged import staged

pytestmark = pytest.mark.processes

SOURCE = "# Copyright: contributors to macos_setup.llm\n"
LAUNCHER = "#!/bin/sh\n# Managed by macos_setup.llm\n"


class Place:
    """A file set in a directory of its own: as the module takes it, and as a look compares it."""

    def __init__(self, directory):
        self.lib, self.launcher = directory / "lib", directory / "bin" / "llm"
        self.list = directory / "models.yaml"
        self.key, self.manifest = directory / "key", directory / "manifest.json"
        self.options = {
            "manifest": str(self.manifest),
            "directories": [{"path": str(directory / "bin")}, {"path": str(directory / "home"), "mode": "0700"}],
            "files": [{"dest": str(self.launcher), "content": LAUNCHER, "mode": "0755"}],
            "trees": [{"src": "/ignored", "dest": str(self.lib), **staged({"a.py": SOURCE})}],
            "blocks": {str(self.list): "- model_id: ours\n"},
            "keys": [str(self.key)],
            "claims": {str(directory / "current"): "link"},
        }
        self.expected = {
            "directories": [{"mode": "u+rwx", "kind": "directory", **item} for item in self.options["directories"]],
            "files": {
                str(self.launcher): described(LAUNCHER, "0755", "marked"),
                str(self.lib / "a.py"): described(SOURCE, "0644", "file"),
            },
            "trees": [str(self.lib)],
            "blocks": self.options["blocks"],
            "keys": self.options["keys"],
            "claims": self.options["claims"],
        }

    def install(self):
        result = run_module("file_set", self.options)
        assert not result.get("failed"), result
        return result["changed"]

    def holds(self):
        return is_in_place(self.expected, Manifest(str(self.manifest)))


def described(text, mode, kind):
    return {"sha256": hashlib.sha256(text.encode()).hexdigest(), "mode": mode, "kind": kind}


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "install")


def test_what_was_installed_is_in_place(place):
    assert not place.holds()
    place.install()
    assert place.holds() and not place.install()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: place.launcher.write_text(LAUNCHER + "exit 1\n"),
        lambda place: place.launcher.chmod(0o644),
        lambda place: place.launcher.unlink(),
        lambda place: (place.lib / "a.py").unlink(),
        lambda place: (place.lib / "old.py").write_text(SOURCE),
        lambda place: place.list.write_text("- model_id: theirs\n"),
        lambda place: place.key.unlink(),
        lambda place: os.chmod(place.lib.parent / "home", 0o755),
    ],
)
def test_whatever_the_module_would_mend_is_not(place, spoil):
    place.install()
    spoil(place)
    assert not place.holds()
    assert place.install() and place.holds()


def test_files_of_others_in_a_tree_are_no_reason(place):
    place.install()
    (place.lib / "notes.txt").write_text("mine")
    assert place.holds() and not place.install()


def test_what_the_manifest_does_not_note_is_not_in_place(place):
    place.install()
    place.manifest.unlink()
    assert not place.holds()
