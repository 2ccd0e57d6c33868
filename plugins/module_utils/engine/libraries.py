# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The shared libraries with which an adopted llama-server computes: they are upgraded apart from it.

The loader tells which ones it takes: glibc instead of starting the program, that of macOS while it does (dyld(1)).
"""

from __future__ import annotations

import glob
import os
import re

from ..base import commands

LOADER = {"LD_TRACE_LOADED_OBJECTS": "1", "DYLD_PRINT_LIBRARIES": "1"}

#: A path in a line of either: "libggml.so => /a path/libggml.so (0x7f…)", "dyld[123]: <…> /a path/libggml.dylib".
LOADED = re.compile(r"^[^/\n]*(/.+?)(?: \(0x[0-9a-f]+\))?$", re.MULTILINE)

#: The system's libraries are upgraded all the time and compute nothing, unless llama.cpp is one of its packages.
SYSTEM = ("/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/", "/System/")
OURS = re.compile(r"lib(ggml|llama|mtmd)")

#: Backends are loaded later, from the directory of the program or of the library (GGML_BACKEND_DL).
PATTERNS = ("*.so", "*.so.*", "*.dylib")


def libraries_of(server):
    """Path, size and time of change, as JSON has them, of each shared library that the program ``server`` is linked to,
    and of those of llama.cpp in its directory and in theirs."""
    told = commands.output_of([server, "--version"], environment={**os.environ, **LOADER}) or ""
    linked = {os.path.realpath(path) for path in LOADED.findall(told) if os.path.isfile(path)}
    linked = {path for path in linked if _is_ours(path) or not path.startswith(SYSTEM)}
    directories = {os.path.dirname(path) for path in (*linked, os.path.realpath(server))}
    patterns = (os.path.join(glob.escape(directory), pattern) for directory in directories for pattern in PATTERNS)
    backends = {os.path.realpath(path) for pattern in patterns for path in glob.glob(pattern) if _is_ours(path)}
    return [_state(path) for path in sorted(linked | backends)]


def _is_ours(path):
    return bool(OURS.match(os.path.basename(path)))


def _state(path):
    found = os.stat(path)
    return [path, found.st_size, found.st_mtime_ns]
