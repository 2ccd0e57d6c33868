# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How much sooner a verified model is in its place than with Ansible's own module, both as processes."""

import statistics

from benchmarks._download import rounds

TITLE = "download of 1 GiB: time of get_url with checksum / time of gguf_model"
BOUND = "at least 2.5"


def measure():
    ratios = [runs["get_url"].seconds / runs["gguf_model"].seconds for runs in rounds()]
    ours = statistics.median(runs["gguf_model"].seconds for runs in rounds())
    return statistics.median(ratios), "median of %d; gguf_model %.1f s" % (len(ratios), ours)
