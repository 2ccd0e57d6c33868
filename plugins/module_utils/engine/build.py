# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Compiles llama.cpp from a source tree that is already on the host. Never touches the network.

The build tree is kept until the release stands, so an interrupted build goes on where it stopped. Where the host has
ccache, llama.cpp's CMake files run the compiler through it (GGML_CCACHE), and what was compiled for one release is not
compiled again for the next one that needs it.
"""

from __future__ import annotations

import os
import re
import shutil

from ..base import commands
from ..base.errors import LlamaCppError
from ..base.files import exclusive, make_directories, write_atomically
from ..ownership import trees
from . import build_options, toolchain
from .release import digest, label
from .store import CACHE

LOCK = "lock"

#: "[98/228] Building …" of Ninja, "[ 43%] Building …" of make.
NINJA_STEP = re.compile(r"\[(\d+)/(\d+)\]")
MAKE_STEP = re.compile(r"\[ *(\d+)%\]")

#: Of the compiler cache. One build takes about 20 MiB of it.
CACHE_SIZE = "200M"


def build(release, source_dir, progress, tools=()):
    """Compile ``release`` from ``source_dir`` and install it.

    :param release: an :class:`engine.Release`.
    :param source_dir: the llama.cpp source tree.
    :param progress: a :class:`progress.Progress`.
    :param tools: directories in which CMake and Ninja are looked for first.
    :raises LlamaCppError: with the last lines of what CMake or the compiler printed.
    """
    toolchain.require_compiler(release.system)
    _require_page(release, source_dir)
    cmake = _require_cmake(tools)
    builds = os.path.dirname(release.build_path)
    make_directories(builds)

    def waiting(holder):
        progress.update(f"waiting for process {holder}, which builds here already")

    with exclusive(os.path.join(builds, LOCK), on_wait=waiting) as lock:
        if release.state()["usable"]:
            return  # the other process has built it
        environment = _environment(release, tools)
        _configure(release, source_dir, cmake, progress, environment, lock, tools)
        _compile(release, cmake, progress, environment, lock)
        binaries = os.path.join(release.build_path, "bin")
        release.install({name: os.path.join(binaries, name) for name in release.engine["targets"]})
        trees.clear(builds)


def configure_arguments(release):
    """The CMake cache entries as command-line arguments, the release's own name among them.

    The name goes into the binary, so that a running server tells which build it is.
    """
    tag = re.fullmatch(r"b(\d+)", release.engine["version"])
    options = {
        "LLAMA_BUILD_NUMBER": tag.group(1) if tag else "0",
        "LLAMA_BUILD_COMMIT": f"{label(release.engine)}-{release.fingerprint}",
        **release.engine["options"],
    }
    return ["-D{}={}".format(*item) for item in options.items()]


def _environment(release, tools):
    """What the build is started with. What the environment already says about ccache wins; see ccache(1)."""
    cache = {
        "CCACHE_DIR": os.path.join(release.engine_dir, CACHE),
        "CCACHE_MAXSIZE": CACHE_SIZE,
        # The sources are below this directory and so is the build tree, which has another name for other options.
        "CCACHE_BASEDIR": release.engine_dir,
        "CCACHE_NOHASHDIR": "true",
        # Nothing that was compiled for another processor (-march=native), or with another SDK, is ever found.
        "CCACHE_NAMESPACE": digest(release.toolchain),
        # A cached warning may be in the language of an earlier run.
        "CCACHE_SLOPPINESS": "locale",
    }
    return {**cache, **os.environ, "PATH": commands.search_path(tools)}


def _require_page(release, source_dir):
    """See that the page that was put into the tree is where CMake takes it from (scripts/ui-assets.cmake), if one was.

    Without it llama.cpp's build only warns, and makes a server without a page.
    """
    interface = os.path.join(source_dir, "tools", "ui")
    if "web_ui" not in release.engine:
        shutil.rmtree(os.path.join(interface, "dist"), ignore_errors=True)  # a build that was given up had one
        return
    wanted = [os.path.join(interface, "CMakeLists.txt"), os.path.join(interface, "dist", "index.html")]
    missing = [path for path in wanted if not os.path.isfile(path)]
    if missing:
        raise LlamaCppError(
            f"engine.web_ui: there is no {os.path.relpath(missing[0], source_dir)} in the sources, so nothing was "
            "built. Give the page that belongs to this llama.cpp (llama-bNNNN-ui.tar.gz of its release), or set "
            "engine.web_ui to false, then run the play again."
        )


def _require_cmake(tools):
    """The words that start CMake."""
    cmake = commands.find("cmake", tools)
    if cmake is None:
        raise LlamaCppError(
            "CMake is missing on this host, so llama.cpp cannot be built. Nothing was changed. "
            "Install it (macOS: brew install cmake; elsewhere: python3 -m pip install cmake), then run the play again."
        )
    return commands.starting(cmake)


def _configure(release, source_dir, cmake, progress, environment, lock, tools):
    progress.update("configuring")
    generator = ["-G", "Ninja"] if commands.find("ninja", tools) else ["-G", "Unix Makefiles"]
    make_directories(release.build_path)
    our_options = os.path.join(release.build_path, build_options.FILE)
    write_atomically(our_options, build_options.TEXT)
    command = [*cmake, "-S", source_dir, "-B", release.build_path, *generator]
    command += ["-DCMAKE_PROJECT_llama.cpp_INCLUDE=" + our_options, *configure_arguments(release)]
    output = commands.check(
        command,
        f"Configuring llama.cpp in {release.build_path}",
        "Correct engine.cmake_options or the toolchain, then run the play again; what served before is unchanged.",
        on_line=lambda _line: progress.update("configuring"),
        environment=environment,
        inherit=(lock,),
    )
    if release.engine["options"].get("LLAMA_OPENSSL") == "ON" and "OpenSSL found" not in output:
        raise LlamaCppError(
            "server.tls needs OpenSSL 3 with its headers on this host and CMake found none. Nothing was changed. "
            "Install it (macOS: brew install openssl@3), then run the play again."
        )


def _compile(release, cmake, progress, environment, lock):
    def show(line):
        ninja, make = NINJA_STEP.match(line), MAKE_STEP.match(line)
        if ninja:
            progress.update("compiling", int(ninja.group(1)), int(ninja.group(2)))
        elif make:
            progress.update("compiling", int(make.group(1)), 100)
        else:
            progress.heartbeat()

    jobs = str(os.cpu_count() or 1)
    commands.check(
        [*cmake, "--build", release.build_path, "--parallel", jobs, "--target", *release.engine["targets"]],
        f"Compiling llama.cpp in {release.build_path}",
        "What was compiled is kept and what served before is unchanged; run the play again to continue.",
        on_line=show,
        environment=environment,
        inherit=(lock,),
    )
