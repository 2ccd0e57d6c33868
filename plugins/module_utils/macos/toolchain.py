# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a Mac can build llama.cpp for its own processor, found out without opening any dialog.

Without Apple's Command Line Tools, ``/usr/bin/cc``, ``git`` and ``python3`` are stubs that ask at the screen to install
them. ``xcode-select -p`` only prints a path, so it is asked first.
"""

from __future__ import annotations

import os
import re
import shutil

from ..base import commands
from ..base.units import GIB

XCODE_SELECT = "/usr/bin/xcode-select"
LIPO = "/usr/bin/lipo"

#: What Apple's own tools look for before they take a directory for a developer directory (macops.ca, "Developer
#: binaries on OS X, xcode-select and xcrun").
MARK = os.path.join("usr", "lib", "libxcrun.dylib")

OLDEST_CMAKE = (3, 18)  # scripts/ui-assets.cmake of llama.cpp at 0c1e570; the tree itself wants 3.14
NEEDED_DISK = 2 * GIB  # source tree, build tree and release together take less than 1 GiB

AGAIN = "then run the play again"


def problems(hardware, directory, cmake=None, xcode_select=XCODE_SELECT, lipo=LIPO, tools=True):
    """Everything that keeps this Mac from building the engine: sentences, each with its remedy.

    :param hardware: :class:`mac_hardware.Hardware`.
    :param directory: where the engine is built; the nearest parent that exists is looked at.
    :param cmake: path of the CMake that would be used; None when the play brings its own.
    :param tools: whether missing Command Line Tools are a problem.
    """
    found = [*(_tools(xcode_select) if tools else []), *_disk(directory)]
    if hardware.translated is None:  # an Intel Mac has nothing to translate
        return [*found, *_cmake_version(cmake)]
    return [*found, *_translated(hardware), *_cmake_version(cmake), *_cmake_architecture(cmake, lipo)]


def developer_directory(xcode_select=XCODE_SELECT):
    """The directory of the Command Line Tools or of Xcode that is in use and whole, or None."""
    path = (commands.output_of([xcode_select, "-p"]) or "").strip()
    return path if path and os.path.exists(os.path.join(path, MARK)) else None


def _tools(xcode_select):
    if not developer_directory(xcode_select):
        yield (
            "The Xcode Command Line Tools are missing (xcode-select -p names no usable directory), so llama.cpp cannot "
            f"be built. Run this at the Mac, accept the dialog, {AGAIN}: xcode-select --install"
        )


def _disk(directory):
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    free = shutil.disk_usage(directory).free
    if free < NEEDED_DISK:
        yield (
            "%.1f GiB are free in %s, and building the engine takes %.0f GiB. Make room, %s."
            % (free / GIB, directory, NEEDED_DISK / GIB, AGAIN)
        )


def _translated(hardware):
    if hardware.translated:
        yield (
            "The play's Python runs under Rosetta, and so would the compiler, for an Intel processor. Set "
            f"ansible_python_interpreter to a native one, for example /usr/bin/python3, {AGAIN}."
        )


def _cmake_version(cmake):
    version = re.match(
        r"cmake version (\d+)\.(\d+)",
        (commands.output_of([*commands.starting(cmake), "--version"]) or "") if cmake else "",
    )
    if version and tuple(map(int, version.groups())) < OLDEST_CMAKE:
        yield (
            f"{cmake} is version {version.group(1)}.{version.group(2)}; llama.cpp needs {OLDEST_CMAKE[0]}."
            f"{OLDEST_CMAKE[1]} or newer. Upgrade it, or remove it so that the play brings its own, {AGAIN}: "
            "brew upgrade cmake"
        )


def _cmake_architecture(cmake, lipo):
    """An Intel CMake takes the Mac for an Intel one (ggml-org/llama.cpp#8065). A script has no architecture."""
    architectures = (commands.output_of([lipo, "-archs", os.path.realpath(cmake)]) or "").split() if cmake else []
    if "x86_64" in architectures and "arm64" not in architectures:
        yield (
            f"{cmake} is made for Intel processors and would build for one. Install Homebrew's for Apple silicon, or "
            f"remove this one so that the play brings its own, {AGAIN}: /opt/homebrew/bin/brew install cmake"
        )
