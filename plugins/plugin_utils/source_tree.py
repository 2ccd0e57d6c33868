# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The Python files of a directory on the controller, which a host gets as a tree."""

from __future__ import annotations

import os


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
