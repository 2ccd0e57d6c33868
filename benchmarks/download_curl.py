# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a verified download is slower than the two commands that a person would type."""

import statistics

from benchmarks._download import rounds

TITLE = "download of 1 GiB: time of curl, then sha256sum / time of gguf_model"
BOUND = "at least 1"


def measure():
    ratios = [runs["curl"].seconds / runs["gguf_model"].seconds for runs in rounds()]
    return statistics.median(ratios), "median of %d" % len(ratios)
