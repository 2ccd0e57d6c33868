# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What `make test` cost, and the cold compile in it: files in .cache/test-results, in CPU-seconds.

``compile.cost.json``  ``cpu`` of the compile, and whether it was ``cold``: without a compiler cache to take from
``suite.cost.json``    ``cpu`` of all parts
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from . import metered
from .paths import RESULTS

COMPILE, SUITE = RESULTS / "compile.cost.json", RESULTS / "suite.cost.json"


class SuiteCost(NamedTuple):
    """CPU-seconds of everything together and of the cold compile in it."""

    together: float
    compile: float

    @property
    def times_the_compile(self):
        return self.together / self.compile


def note(together):
    """Write down what all parts cost together."""
    SUITE.write_text(json.dumps({"cpu": together}))


def last():
    """The :class:`SuiteCost` of the last `make test`; None when it did not end, or its compile was not cold."""
    try:
        compiled = json.loads(COMPILE.read_text())
        together = json.loads(SUITE.read_text())["cpu"]
    except FileNotFoundError:
        return None
    return SuiteCost(together, compiled["cpu"]) if compiled["cold"] else None


class MeteredCompile:
    """Meters every CMake that is started with :attr:`environment`, and so all compilers: they are its children.

    It is a script of that name, in a ``directory`` of its own which comes first in the PATH.
    """

    def __init__(self, directory, cmake):
        self._directory = directory
        self._cold = not _cache_of(os.environ)
        script = directory / "cmake"
        words = (sys.executable, metered.__file__, f"{directory}/$$.cost.json", cmake)
        script.write_text('#!/bin/sh\nexec "{}" "{}" "{}" "{}" "$@"\n'.format(*words))
        script.chmod(0o755)
        self.environment = {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}"}

    def note(self):
        """Write down what the compile cost, in how many pieces it may have been made."""
        costs = [json.loads(report.read_text()) for report in self._directory.glob("*.cost.json")]
        RESULTS.mkdir(parents=True, exist_ok=True)
        COMPILE.write_text(json.dumps({"cpu": sum(cost["cpu"] for cost in costs), "cold": self._cold}))


def _cache_of(environment):
    """What is in the compiler cache that the environment names."""
    directory = environment.get("CCACHE_DIR")
    return directory and Path(directory).is_dir() and os.listdir(directory)
