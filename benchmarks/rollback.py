# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How long `llm-manager rollback` takes, from the call to the answer of the real model, self-test included."""

import json
import statistics
import time

from benchmarks._rows import Row, at_most
from benchmarks.upgrade_gap import two_releases

ROUNDS = 4


def measure():
    seconds, gaps = [], []
    with two_releases() as (host, _output):
        for _ in range(ROUNDS):
            began = time.monotonic()
            done = host.run("llm-manager", "rollback", "--json")
            seconds.append(time.monotonic() - began)
            assert done.returncode == 0, done.stderr
            gaps.append(json.loads(done.stdout)["gap"]["seconds"])
            assert host.answers()
    note = "median of %d; without service %.1f s" % (ROUNDS, statistics.median(gaps))
    return [Row("rollback: seconds from the call to a proven answer", statistics.median(seconds), at_most(10), note)]
