# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a verified download costs, against Ansible's own module and the two commands that a person would type.

A download cannot take less than its SHA-256 does, so a note tells how long that alone takes on this processor.
"""

import hashlib
import statistics
import time

from benchmarks._download import ROUNDS, SIZE, rounds
from benchmarks._rows import Row, at_least, at_most


def measure():
    ours = median(lambda runs: runs["gguf_model"].seconds)
    memory = median(lambda runs: runs["gguf_model"].peak_kib) / 1024
    again = median(lambda runs: runs["again"].seconds) * 1000
    return [
        Row(
            "download of 1 GiB: time of get_url with checksum / time of gguf_model",
            median(lambda runs: runs["get_url"].seconds / runs["gguf_model"].seconds),
            at_least(2.5),
            f"median of {ROUNDS}; gguf_model {ours:.1f} s, of which at least {_hashing_alone():.1f} s for the hash",
        ),
        Row(
            "download of 1 GiB: time of curl, then sha256sum / time of gguf_model",
            median(lambda runs: runs["curl"].seconds / runs["gguf_model"].seconds),
            at_least(1),
            f"median of {ROUNDS}",
        ),
        Row(
            "download of 1 GiB: peak memory of gguf_model / of get_url",
            median(lambda runs: runs["gguf_model"].peak_kib / runs["get_url"].peak_kib),
            at_most(1),
            f"median of {ROUNDS}; gguf_model {memory:.0f} MiB",
        ),
        Row(
            "a model of 1 GiB in place: milliseconds inside gguf_model",  # no byte of it is read
            median(lambda runs: runs["again"].inside * 1000),
            at_most(50),
            f"median of {ROUNDS}; whole process {again:.0f} ms",
        ),
    ]


def median(of_runs):
    return statistics.median(map(of_runs, rounds()))


def _hashing_alone():
    block = bytes(2**20)
    digest = hashlib.sha256()
    began = time.monotonic()
    for _ in range(SIZE // len(block)):
        digest.update(block)
    return time.monotonic() - began
