# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How long nothing is served while a play replaces one release by the next, with the self-test model."""

import contextlib
import tempfile
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from support.built_engine import find_or_build_server
from support.engine_source import EngineSource
from support.plays import Host, announced_gap, processes_below

from benchmarks._rows import Row, at_most


@contextlib.contextmanager
def two_releases():
    """A host that was upgraded from one release to another, and what the play of the upgrade said."""
    with tempfile.TemporaryDirectory() as scratch:
        engine = find_or_build_server().parent
        host = Host(Path(scratch), engine)
        source = EngineSource(host.directory / "llama.cpp", engine)
        try:
            for version in ("first", "second"):
                host.config["engine"] = {"source": "git", "url": f"file://{source.url}"}
                host.config["engine"]["version"] = source.commit(version)
                output = host.play()
            yield host, output
        finally:
            processes.end(processes_below(host.directory), patience=20)


def measure():
    with two_releases() as (_host, output):
        return [Row("upgrade: seconds without service", announced_gap(output), at_most(5), "one upgrade")]
