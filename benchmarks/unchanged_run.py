# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a run costs that has nothing to do, against gathering the facts of the same machine."""

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from support.built_engine import find_or_build_server
from support.plays import BIN, REPOSITORY, Host, processes_below, recap

TITLE = "unchanged run: time of the play / time of ansible.builtin.setup"
BOUND = "at most 6"
ROUNDS = 5


def measure():
    with tempfile.TemporaryDirectory() as scratch:
        host = Host(Path(scratch), find_or_build_server().parent)
        host.play()
        ratios = []
        for _ in range(ROUNDS):
            began = time.monotonic()
            facts = [BIN / "ansible", "localhost", "-m", "ansible.builtin.setup"]
            subprocess.run(facts, cwd=REPOSITORY, check=True, capture_output=True)
            between = time.monotonic()
            output = host.play()
            ratios.append((time.monotonic() - between) / (between - began))
            assert recap(output)["changed"] == 0, output
        processes.end(processes_below(host.directory), patience=20)
    return statistics.median(ratios), "median of %d" % ROUNDS
