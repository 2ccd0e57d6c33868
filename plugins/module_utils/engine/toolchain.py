# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The compiler of a host: what it is, and everything about it that changes the binaries it makes."""

from __future__ import annotations

import hashlib
import os

from ..base import commands
from ..base.errors import LlamaCppError
from ..macos.toolchain import developer_directory

MISSING_COMPILER = {
    "Darwin": "The Xcode Command Line Tools are missing. Run this at the Mac, accept the dialog, then run the play "
    "again: xcode-select --install",
    "Linux": "Install a C++ compiler with the system's package manager (on Debian and Ubuntu: "
    "sudo apt-get install g++), then run the play again.",
}


#: What CMake and the compilers take from the environment.
FLAGS = ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "OBJCFLAGS", "SDKROOT", "MACOSX_DEPLOYMENT_TARGET")


def compilers():
    """The C and C++ compiler that CMake would take: (cc, c++), each a path or None."""
    return (
        commands.find(os.environ.get("CC", "cc")),
        commands.find(os.environ.get("CXX", "c++")),
    )


def identity(system, native):
    """What distinguishes this toolchain from another one, as a dict of texts; values are empty when unknown.

    :param system: ``Darwin`` or ``Linux``.
    :param native: whether the binaries are made for exactly this processor.
    """
    there = _is_there(system)
    cxx = compilers()[1] if there else None
    flags = {name: os.environ[name] for name in FLAGS if os.environ.get(name)}
    first_line = (commands.output_of([cxx, "--version"]) or "").partition("\n")[0] if cxx else ""
    return {
        "compiler": first_line,
        "target": ((commands.output_of([cxx, "-dumpmachine"]) if cxx else None) or "").strip(),
        "sdk": _sdk_version() if there and system == "Darwin" else "",
        "processor": _processor(system) if native else "",
        **({"flags": flags} if flags else {}),
    }


def require_compiler(system):
    """Raise LlamaCppError with the remedy when there is no C or C++ compiler."""
    if not (_is_there(system) and all(compilers())):
        raise LlamaCppError(
            "There is no C++ compiler on this host, so llama.cpp cannot be built. Nothing was changed. {}".format(
                MISSING_COMPILER.get(system, MISSING_COMPILER["Linux"])
            )
        )


def _is_there(system):
    """Whether the compilers may be called: without Apple's tools they are stubs that open a dialog."""
    return system != "Darwin" or developer_directory() is not None


def _sdk_version():
    return (commands.output_of(["xcrun", "--show-sdk-version"]) or "").strip()


def _processor(system):
    """The processor in a few words that change whenever code made for it may stop running elsewhere."""
    if system == "Darwin":
        return (commands.output_of(["sysctl", "-n", "machdep.cpu.brand_string"]) or "").strip()
    model, flags = "", ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _colon, value = line.partition(":")
                if key.strip() == "model name" and not model:
                    model = value.strip()
                elif key.strip() in ("flags", "Features") and not flags:
                    flags = " ".join(sorted(value.split()))
    except OSError:
        return ""
    return f"{model} {hashlib.sha256(flags.encode()).hexdigest()[:12]}"
