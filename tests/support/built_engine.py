# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The llama.cpp that was compiled from the pinned source, for all that need one and do not try the compile itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

from support.paths import REPOSITORY
from support.plays import BIN, ENGINE_ALONE

CACHE = REPOSITORY / ".cache"
RELEASES = CACHE / "engine" / "releases"
#: Names another llama-server to use.
VARIABLE = "LLAMA_SERVER"


def find_server():
    """The path of llama-server: what the environment names, else the newest in .cache, else None."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    servers = sorted(RELEASES.glob("*/bin/llama-server"), key=lambda path: path.stat().st_mtime)
    return servers[-1] if servers else None


def require_server():
    """The same; raises LookupError where there is none."""
    server = find_server()
    if server is None:
        raise LookupError(
            f"There is no compiled llama-server in {RELEASES}: run `make test`, or set {VARIABLE} to one."
        )
    return server


def find_or_build_server():
    """The same; where there is none, the role compiles one into .cache, which takes minutes and is shown."""
    server = find_server()
    if server is None:
        variables = {
            "llama_cpp_config_file": str(REPOSITORY / "config" / "demo.json"),
            "llama_cpp_install_dir": str(CACHE),
            "llama_cpp_install_packages": False,
            "llama_cpp_overrides": {"feature_flags": ENGINE_ALONE},
        }
        command = [BIN / "ansible-playbook", REPOSITORY / "playbooks" / "macos_setup.yml", "--tags", "llm_engine"]
        command += ["-e", json.dumps(variables)]
        subprocess.run(command, cwd=REPOSITORY, stdout=sys.stderr, check=True)
        server = require_server()
    return server
