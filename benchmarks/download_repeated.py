# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a run costs that finds the model in its place: no byte of it is read."""

import statistics

from benchmarks._download import rounds

TITLE = "a model of 1 GiB in place: milliseconds inside gguf_model"
BOUND = "below 50"


def measure():
    times = [runs["again"].inside * 1000 for runs in rounds()]
    return statistics.median(times), "median of %d; whole process %.0f ms" % (
        len(times),
        statistics.median(runs["again"].seconds for runs in rounds()) * 1000,
    )
