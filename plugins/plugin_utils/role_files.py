# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The files of the role, on the controller."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.file_set import DIRECTORY_MODE, FILE_MODE
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import bears_mark

COLLECTION = Path(__file__).resolve().parents[2]
DIRECTORY = COLLECTION / "roles" / "llama_cpp" / "files"


def read(name):
    """The text of the file ``name``."""
    return (DIRECTORY / name).read_text(encoding="utf-8")


def texts(directory):
    """Relative path -> text of each Python file below ``directory``; links are followed."""
    found = {}
    for parent, directories, names in os.walk(directory, followlinks=True):
        directories[:] = [name for name in directories if name != "__pycache__"]
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(parent, name)
                with open(path, encoding="utf-8") as stream:
                    found[os.path.relpath(path, directory)] = stream.read()
    return found


def expected(file_set):
    """What ``file_set``, options of the module file_set, makes of a host, by digests: see ownership/file_set.py."""
    files = {file["dest"]: _described(_content(file), file.get("mode", FILE_MODE)) for file in file_set["files"]}
    for tree in file_set["trees"]:
        for path, text in texts(DIRECTORY / tree["src"]).items():
            files[os.path.join(tree["dest"], path)] = _described(text.encode(), FILE_MODE)
    return {
        "directories": [{"mode": DIRECTORY_MODE, "kind": "directory", **item} for item in file_set["directories"]],
        "files": files,
        "trees": [tree["dest"] for tree in file_set["trees"]],
        "blocks": file_set["blocks"],
        "keys": file_set["keys"],
        "claims": file_set["claims"],
    }


def _content(file):
    return file["content"].encode() if "content" in file else (DIRECTORY / file["src"]).read_bytes()


def _described(content, mode):
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "mode": mode,
        "kind": "marked" if bears_mark(content) else "file",
    }
