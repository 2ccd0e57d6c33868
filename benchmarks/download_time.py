# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How much sooner a verified model is in its place than with Ansible's own module, both as processes.

A download cannot take less than its SHA-256 does, so the note tells how long that alone takes on this processor.
"""

import hashlib
import statistics
import time

from benchmarks._download import SIZE, rounds

TITLE = "download of 1 GiB: time of get_url with checksum / time of gguf_model"
BOUND = "at least 2.5"


def measure():
    ratios = [runs["get_url"].seconds / runs["gguf_model"].seconds for runs in rounds()]
    ours = statistics.median(runs["gguf_model"].seconds for runs in rounds())
    note = "median of %d; gguf_model %.1f s, of which at least %.1f s for the hash"
    return statistics.median(ratios), note % (len(ratios), ours, _hashing_alone())


def _hashing_alone():
    block = bytes(2**20)
    digest = hashlib.sha256()
    began = time.monotonic()
    for _ in range(SIZE // len(block)):
        digest.update(block)
    return time.monotonic() - began
