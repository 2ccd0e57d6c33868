# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Measures what the collection promises about speed, as ratios within one run where it can, and prints one table.

    python -m benchmarks              every benchmark
    python -m benchmarks unchanged    those whose name begins with the word

Each benchmark is a module of this directory with ``TITLE``, ``BOUND`` (text) and ``measure()``, which returns the
value and a note.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
for directory in (HERE.parent / "tests", HERE.parent / ".collections"):
    sys.path.insert(0, str(directory))


def main(prefixes):
    names = sorted(path.stem for path in HERE.glob("[a-z]*.py"))
    chosen = [name for name in names if not prefixes or name.startswith(tuple(prefixes))]
    if not chosen:
        print(f"No benchmark begins with {' or '.join(prefixes)}; there are: {', '.join(names)}", file=sys.stderr)
        return 2
    rows = []
    for name in chosen:
        benchmark = importlib.import_module("benchmarks." + name)
        print(f"measuring: {benchmark.TITLE}", file=sys.stderr, flush=True)
        ratio, note = benchmark.measure()
        rows.append((benchmark.TITLE, f"{ratio:.2f}", benchmark.BOUND, note))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("{}  {}  {}  {}".format(*(text.ljust(width) for text, width in zip(row, widths)), row[3]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
