# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs the tests, cheapest first, and says at the end what each part took.

python -m tests check    lint, schema, and the unit tests that start no processes
python -m tests all      everything, with a real compile and a real server
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
OLD_ENVIRONMENT = REPOSITORY / ".venv-python39"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Most unit tests take no time, and those that take long mostly wait.
UNIT = ["--numprocesses", str(2 * CORES + 1), "--dist", "worksteal"]
# Plays compute, take minutes, and are given out one by one, so that no worker ends long before the last.
PLAYS = ["--numprocesses", str(CORES + 1), "--dist", "load", "--maxschedchunk", "1"]
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def lint_parts():
    yield "ruff check", [BIN / "ruff", "check"]
    yield "ruff format", [BIN / "ruff", "format", "--check"]
    yield "ansible-lint", [BIN / "ansible-lint", "--offline"]
    yield "changelog", [BIN / "antsibull-changelog", "lint"]


def check_parts():
    yield from lint_parts()
    yield "quick unit tests", [*PYTEST, *UNIT, "-m", "not processes", "tests/unit"]


def all_parts():
    yield from lint_parts()
    unit = [*UNIT, "tests/unit"]
    without_controller = "--ignore=tests/unit/controller"
    old = python39()
    if old:
        # What starts processes by the dozen does so with the Python of a bare Mac; the rest runs with both.
        yield "unit tests, Python 3.9", [old, *PYTEST[1:], *unit, without_controller]
        yield "quick unit tests", [*PYTEST, *unit, without_controller, "-m", "not processes"]
        yield "controller tests", [*PYTEST, *UNIT, "tests/unit/controller"]
    else:
        yield "unit tests", [*PYTEST, *unit]
    # Followed by the clock of its user, so nothing else runs beside it. It compiles the engine of all that follow.
    yield "demo", [*PYTEST, "-v", "tests/integration/test_demo.py"]
    yield "contract tests", [*PYTEST, "tests/contract"]
    # The longest first.
    yield (
        "scenarios and integration tests",
        [*PYTEST, *PLAYS, "-v", "tests/scenarios", "tests/integration", "--ignore=tests/integration/test_demo.py"],
    )


def built_server():
    """The llama-server that the scenario compiled, or an empty text."""
    servers = sorted(
        REPOSITORY.glob(".cache/engine/releases/*/bin/llama-server"), key=lambda path: path.stat().st_mtime
    )
    return str(servers[-1]) if servers else ""


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
    install = [uv, "pip", "install", "--quiet", "--python", python, "--require-hashes"]
    subprocess.run([*install, "-r", REPOSITORY / "requirements" / "python39.txt"], check=True)
    return python


def main(arguments):
    parts = {"check": check_parts, "all": all_parts}.get(arguments[0] if len(arguments) == 1 else "")
    if parts is None:
        print(__doc__, file=sys.stderr)
        return 2
    environment = {**os.environ, "PATH": "{}{}{}".format(BIN, os.pathsep, os.environ["PATH"])}
    environment["LANG"] = environment["LC_ALL"] = "C.UTF-8"
    results = []
    for name, command in parts():
        print(f"\n=== {name}", flush=True)
        began = time.monotonic()
        environment.setdefault("LLAMA_SERVER", built_server()) or environment.pop("LLAMA_SERVER")
        code = subprocess.run([str(word) for word in command], cwd=REPOSITORY, env=environment, check=False).returncode
        results.append((name, code, time.monotonic() - began))
    print("\n=== summary")
    for name, code, seconds in results:
        print("%-32s %-7s %6.0f s" % (name, "passed" if code == 0 else "FAILED", seconds))
    failed = sum(code != 0 for _name, code, _seconds in results)
    print("%d passed, %d failed" % (len(results) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
