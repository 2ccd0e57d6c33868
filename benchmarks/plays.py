# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the first play and one with nothing to do cost in CPU-seconds, against gathering the facts of the same machine.

A run of a module is a start of the host's Python. That is a script here, which counts its starts.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from support import metered
from support.built_engine import find_or_build_server
from support.plays import BIN, REPOSITORY, Host, processes_below, recap

from benchmarks._rows import Row, at_most

ROUNDS = 3
FACTS = [BIN / "ansible", "localhost", "-m", "ansible.builtin.setup"]
COUNTING = '#!/bin/sh\necho start >> "$0.starts"\nexec "{}" "$@"\n'


def measure():
    with tempfile.TemporaryDirectory() as scratch:
        hosts = [Host(Path(scratch, f"host{number}"), find_or_build_server().parent) for number in range(ROUNDS)]
        try:
            return _measured(hosts, Path(scratch))
        finally:
            for host in hosts:
                processes.end(processes_below(host.directory), patience=20)


def _measured(hosts, scratch):
    python, report = scratch / "python", scratch / "cost.json"
    python.write_text(COUNTING.format(sys.executable))
    python.chmod(0o755)
    starts = Path(f"{python}.starts")

    def cost(*command):
        """CPU-seconds and output of ``command``."""
        words = [sys.executable, metered.__file__, report, *command]
        environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(words, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(report.read_text())["cpu"], done.stdout

    def play(host):
        """CPU-seconds, module runs and changes of a play."""
        starts.write_text("")
        seconds, output = cost(*host.command("-e", f"ansible_python_interpreter={python}"))
        return seconds, len(starts.read_text().split()), recap(output)["changed"]

    facts, firsts, unchanged = [], [], []
    for host in hosts:
        host.directory.mkdir()
        facts.append(cost(*FACTS)[0])
        firsts.append(play(host))
        facts.append(cost(*FACTS)[0])
        unchanged.append(play(host))
        processes.end(processes_below(host.directory), patience=20)
    assert not any(changes for _seconds, _runs, changes in unchanged)
    gathering = statistics.median(facts)
    first, nothing = (statistics.median(seconds for seconds, *_ in plays) for plays in (firsts, unchanged))
    first_runs, runs = (max(runs for _seconds, runs, _changes in plays) for plays in (firsts, unchanged))
    words = f"%.1f of {gathering:.1f}"
    return [
        Row("unchanged play: CPU-seconds / those of setup", nothing / gathering, at_most(2.5), words % nothing),
        Row("unchanged play: runs of a module", runs, at_most(4), f"in the first play {first_runs}"),
        Row("first play with an engine: CPU-seconds / those of setup", first / gathering, at_most(6), words % first),
    ]
