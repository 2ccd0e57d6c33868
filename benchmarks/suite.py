# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the last `make test` cost, against the cold compile that is a part of it."""

from support import suite_cost

from benchmarks._rows import Row, at_most


def measure():
    cost = suite_cost.last()
    if cost is None:
        value, note = None, "no results of a `make test` with a cold compile: make clean, then make test"
    else:
        value, note = cost.times_the_compile, f"{cost.together:.0f} of {cost.compile:.0f} CPU-seconds"
    return [Row("make test: CPU-seconds / those of the cold compile in it", value, at_most(3), note)]
