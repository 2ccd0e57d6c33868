# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Measures what the collection promises about speed, as ratios within one run where it can, and prints one table.

    python -m benchmarks            every benchmark
    python -m benchmarks plays      those whose name begins with the word

Each benchmark is a module of this directory; its ``measure()`` returns the rows (_rows.py) that it has measured. The
exit status is 1 when a bound is missed.
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
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        rows += importlib.import_module("benchmarks." + name).measure()
    table = [row.cells() for row in rows]
    widths = [max(map(len, column)) for column in zip(*table)]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    return int(any(row.verdict == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
