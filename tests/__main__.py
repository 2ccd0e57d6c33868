# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs the tests, cheapest first, and says at the end what each part took and which tests took longest.

python -m tests check    lint, schema, and the unit tests that start no processes
python -m tests all      everything, with a real compile and a real server

Every part leaves its results as JUnit XML in .cache/test-results.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import metered, suite_cost
from support.haproxy import HAPROXY
from support.paths import REPOSITORY, RESULTS

BIN = Path(sys.executable).parent
CACHE = REPOSITORY / ".cache"
OLD_ENVIRONMENT = REPOSITORY / ".venv-python39"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SLOWEST = 20

# Each worker collects all tests, which costs more than it may wait. Plays wait more than others; they are given out by
# files, whose tests may share a host, and integration/conftest.py has the order.
UNIT = ["--numprocesses", str(CORES), "--dist", "worksteal"]
PLAYS = ["--numprocesses", str(CORES + 1), "--dist", "loadfile", "--no-loadscope-reorder", "-vv"]
WITHOUT_CONTROLLER = "--ignore=tests/unit/controller"


class Part:
    """A run of pytest: its name, its arguments, and the Python that runs it. :meth:`run` sets ``cost`` and ``code``."""

    def __init__(self, name, *arguments, python=sys.executable):
        self.name = name
        slug = name.replace(" ", "-").replace(".", "")
        self.results, self._report = RESULTS / f"{slug}.xml", RESULTS / f"{slug}.cost.json"
        self._command = [sys.executable, metered.__file__, self._report, python, "-m", "pytest", "-q", *arguments]
        self._command.append(f"--junitxml={self.results}")

    def run(self, environment, quietly):
        """Run it; ``quietly`` keeps its output until its end, for parts that run side by side."""
        collected = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if quietly else {}
        print(f"\n=== {self.name}{' (its output follows at its end)' if quietly else ''}", flush=True)
        command = [str(word) for word in self._command]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False, **collected)
        if quietly:
            print(f"\n=== {self.name}\n{done.stdout.decode(errors='replace')}", flush=True)
        self.code = done.returncode
        self.cost = json.loads(self._report.read_text())

    def slowest(self):
        """(seconds, name) of every test case."""
        for case in ElementTree.parse(self.results).iter("testcase") if self.results.exists() else ():
            yield float(case.get("time")), "{}::{}".format(case.get("classname").replace(".", "/"), case.get("name"))


def check_stages():
    yield [Part("lint and quick unit tests", *UNIT, "tests/lint", "tests/unit", "-m", "not processes")]


def all_stages():
    """The parts of each list run side by side."""
    old = python39()
    if old:
        # With the Python of a bare Mac; `check` runs the quick ones with this Python, and so do plays their modules.
        controller = Part("lint and controller tests", *UNIT, "tests/lint", "tests/unit/controller")
        yield [controller, Part("unit tests, Python 3.9", *UNIT, "tests/unit", WITHOUT_CONTROLLER, python=old)]
    else:
        yield [Part("lint and unit tests", *UNIT, "tests/lint", "tests/unit")]
    # Followed by the clock of its user, so nothing else runs beside it. It compiles the engine of all that follow.
    yield [Part("demo", "-vv", "tests/integration/test_demo.py")]
    if HAPROXY is None:
        print("There is no HAProxy on this machine: the tests of the gateway are left out.", flush=True)
    plays = ["tests/scenarios", "tests/integration", "tests/contract"]
    yield [Part("plays and contract tests", *PLAYS, *plays, "--ignore=tests/integration/test_demo.py")]


def oldest_python():
    """The path of a Python 3.9 that runs, or None. pyenv's shims exist and fail, so each candidate is tried."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [Path(directory, "python3.9") for directory in os.environ["PATH"].split(os.pathsep)]
    for candidate in [*candidates, *pyenv.glob("versions/3.9*/bin/python3.9")]:
        try:
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    return None


def python39():
    """An environment with the oldest supported Python, or None where the machine has no such Python."""
    found = oldest_python()
    if found is None:
        print("There is no Python 3.9 on this machine: its unit tests are left out.", flush=True)
        return None
    uv, python = BIN / "uv", OLD_ENVIRONMENT / "bin" / "python"
    if not python.exists():
        subprocess.run([uv, "venv", "--quiet", "--python", found, OLD_ENVIRONMENT], check=True)
    install = [uv, "pip", "install", "--quiet", "--python", python]
    install += ["--require-hashes", "--only-binary", ":all:"]
    subprocess.run([*install, "-r", REPOSITORY / "requirements" / "python39.txt"], check=True)
    return python


def environment():
    """What all parts are run with. One compiler cache serves all builds."""
    path = "{}{}{}".format(BIN, os.pathsep, os.environ["PATH"])
    found = {"CCACHE_DIR": str(CACHE / "ccache"), **os.environ}
    found.pop("PYTHONDONTWRITEBYTECODE", None)  # thousands of Pythons are started, with the same few files
    return {**found, "PATH": path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def summarize(parts):
    print(f"\n=== the {SLOWEST} slowest tests")
    for seconds, name in sorted((case for part in parts for case in part.slowest()), reverse=True)[:SLOWEST]:
        print("%7.1f s  %s" % (seconds, name))
    print("\n=== summary")
    for part in parts:
        state = "passed" if part.code == 0 else "FAILED"
        print("%-28s %-7s %6.0f s %7.0f CPU-seconds" % (part.name, state, part.cost["wall"], part.cost["cpu"]))
    together = sum(part.cost["cpu"] for part in parts)
    suite_cost.note(together)
    cost = suite_cost.last()
    compared = f", {cost.times_the_compile:.2f} × the cold compile in it" if cost else ""
    print("%-36s %17.0f CPU-seconds%s" % ("together", together, compared))
    failed = sum(part.code != 0 for part in parts)
    print("%d passed, %d failed" % (len(parts) - failed, failed))
    return 1 if failed else 0


def main(arguments):
    stages = {"check": check_stages, "all": all_stages}.get(arguments[0] if len(arguments) == 1 else "")
    if stages is None:
        print(__doc__, file=sys.stderr)
        return 2
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    ended, given = [], environment()
    for parts in stages():
        with ThreadPoolExecutor() as side_by_side:
            running = [side_by_side.submit(part.run, given, quietly=len(parts) > 1) for part in parts]
        for part in running:
            part.result()
        ended += parts
    return summarize(ended)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
