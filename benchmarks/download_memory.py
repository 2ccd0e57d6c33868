# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether the faster download pays with memory."""

import statistics

from benchmarks._download import rounds

TITLE = "download of 1 GiB: peak memory of gguf_model / of get_url"
BOUND = "at most 1"


def measure():
    ratios = [runs["gguf_model"].peak_kib / runs["get_url"].peak_kib for runs in rounds()]
    ours = statistics.median(runs["gguf_model"].peak_kib for runs in rounds())
    return statistics.median(ratios), "median of %d; gguf_model %.0f MiB" % (len(ratios), ours / 1024)
