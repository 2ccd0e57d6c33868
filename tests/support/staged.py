# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the action plugin file_set hands over: the copy of a file or a tree on the host, and its SHA-256."""

import hashlib
import json
import tempfile

_directory = tempfile.TemporaryDirectory()  # it goes with the process


def staged(content):
    """The options of the module for ``content``: bytes of a file, or the texts of a tree by relative path."""
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    path = f"{_directory.name}/{sha256}"
    with open(path, "wb") as stream:
        stream.write(content)
    return {"staged": path, "sha256": sha256}
