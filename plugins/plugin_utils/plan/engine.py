# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan's engine: its source, and how it is built."""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.rpc_worker import PROGRAM as RPC_WORKER
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import lock, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.load import listed
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded

METAL = "MTL0"

BUILD_TARGETS = ("llama-server", "llama-cli", "llama-bench", "llama-fit-params")

#: .github/workflows/release.yml of llama.cpp at 0c1e570.
OFFICIAL_RELEASE = (
    "https://github.com/ggml-org/llama.cpp/releases/download/{version}/llama-{version}-bin-macos-{kind}.tar.gz"
)


def device(settings, host):
    """What the engine must compute on, as its ``--device`` names it; None leaves that to the engine."""
    if host["system"] != "Darwin":
        return None
    # Binaries that came from elsewhere may have Metal although the owner wants none.
    return METAL if settings["metal_acceleration"] else "none"


def engine(config, pins, host, device, tags=None, lock_file=None):
    """The engine's part of the plan.

    What git is to fetch has a ``commit``: None for a tag that is not recorded yet. ``locked_by`` names the lock file
    and the entry in it for a tag.

    :param device: what it must compute on, as :func:`device` tells.
    :param tags: the tags that are recorded in the file ``lock_file``, with their commits.
    :raises LlamaCppError: the source has no such version for this host.
    """
    engine = config["engine"]
    version = engine["version"]
    plan = {
        "source": engine["source"],
        "version": version,
        "keep_releases": engine["keep_releases"],
        "targets": [],
        "options": {},
    }
    if engine["source"] == "existing":
        plan["path"] = expanded(engine["path"], host)
        return plan
    if engine["source"] == "homebrew":
        plan["path"] = posixpath.join(_homebrew(engine, host), "opt", "llama.cpp")
        return plan
    if engine["source"] in ("archive", "release"):
        plan["archive"] = _archive(engine, host)
        if engine["source"] == "release":
            return plan
    elif engine["source"] == "pypi":
        pin = pins["pypi"].get(version)
        if pin is None:
            raise LlamaCppError(
                'engine.version: "{}" is not among the commits that a package on the index is known to carry; '
                'expected: {}, or engine.source "git". Nothing was changed.'.format(
                    version, listed(sorted(pins["pypi"]))
                )
            )
        plan["pypi"] = pin
    else:
        tag = lock.tag_of(engine)
        plan["url"] = engine["url"]
        plan["commit"] = (tags or {}).get(tag) if tag else version
        plan["locked_by"] = {lock_file: tag} if tag and lock_file else {}
    if isinstance(engine["web_ui"], dict):
        plan["web_ui"] = _page(engine["web_ui"], host)
    plan["targets"] = [*BUILD_TARGETS, *([RPC_WORKER] if _with_rpc(config) else [])]
    plan["options"] = _cmake_options(config, host, metal=device == METAL)
    return plan


def _with_rpc(config):
    """Whether RPC is built in: as configured, else where it is needed. So no other host compiles anew for it."""
    return config["engine"].get("rpc", bool(config["server"].get("rpc_workers")))


def _homebrew(engine, host):
    """The prefix of Homebrew: as configured, else where it is installed on such a host."""
    if "path" in engine:
        return expanded(engine["path"], host)
    if host["system"] != "Darwin":
        return "/home/linuxbrew/.linuxbrew"
    return "/opt/homebrew" if host["architecture"] == "arm64" else "/usr/local"


def _archive(engine, host):
    """Where the archive is, and its hash; an official release is known by its version."""
    plan = {"sha256": engine["sha256"]}
    if "path" in engine:
        return {**plan, "path": expanded(engine["path"], host)}
    if engine["url"] != rules.REPOSITORY:
        return {**plan, "url": engine["url"]}
    if host["system"] != "Darwin":
        raise LlamaCppError(
            'engine.source: "release" knows the official programs for macOS and this host runs {}; give engine.url or '
            "engine.path, or choose another source. Nothing was changed.".format(host["system"])
        )
    kind = "arm64" if host["architecture"] == "arm64" else "x64"
    return {**plan, "url": OFFICIAL_RELEASE.format(version=engine["version"], kind=kind)}


def _page(page, host):
    """Where the web page is, and its hash."""
    return {**page, "path": expanded(page["path"], host)} if "path" in page else dict(page)


def _cmake_options(config, host, metal):
    """CMake cache entries by name. Names and defaults: facts of llama.cpp at the pinned commit, docs/engine.md."""
    engine = config["engine"]
    options = {
        "CMAKE_BUILD_TYPE": "Release",
        # One self-contained file each: no rpath that breaks when a release directory moves.
        "BUILD_SHARED_LIBS": False,
        # Homebrew's libomp or OpenSSL must not creep into the binary: its upgrade would break the server.
        "GGML_OPENMP": False,
        "LLAMA_OPENSSL": "tls" in config["server"],
        "LLAMA_BUILD_TESTS": False,
        "LLAMA_BUILD_EXAMPLES": False,
        "LLAMA_BUILD_APP": False,
        "LLAMA_BUILD_UI": False,
        # Otherwise the compilation itself downloads a web page that nothing pins. A pinned one is put into the tree.
        "LLAMA_USE_PREBUILT_UI": False,
        "GGML_NATIVE": True,
        "GGML_RPC": _with_rpc(config),
    }
    if host["system"] == "Darwin":
        options.update(
            {
                "GGML_METAL": metal,
                # Kernels are compiled at run time, so Apple's command line tools suffice.
                "GGML_METAL_EMBED_LIBRARY": metal,
                "GGML_ACCELERATE": True,
                "GGML_BLAS": True,
                "GGML_BLAS_VENDOR": "Apple",
                # An Intel CMake under Rosetta would otherwise build for the wrong processor.
                "CMAKE_OSX_ARCHITECTURES": host["architecture"],
            }
        )
    options.update(engine["cmake_options"])
    return {name: _cmake_value(value) for name, value in sorted(options.items())}


def _cmake_value(value):
    return {True: "ON", False: "OFF"}[value] if isinstance(value, bool) else str(value)
