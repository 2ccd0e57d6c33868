# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How much of a newcomer's first `make demo` is the compiler, the virtual environment and the download included."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from support.paths import REPOSITORY
from support.plays import Play, free_port

from benchmarks._rows import Row, at_least


def measure():
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        shutil.copytree(
            REPOSITORY, clone, symlinks=True, ignore=shutil.ignore_patterns(".venv*", ".demo", ".cache", ".git")
        )
        began = time.monotonic()
        play = Play(["make", "demo", "DEMO_ARGS=-e llama_cpp_server_port=%d" % free_port()], clone)
        assert play.until(lambda line: "compiling" in line), play.output
        compiling = time.monotonic()
        assert play.until(lambda line: "changed:" in line), play.output
        compiled = time.monotonic()
        assert play.wait() == 0, play.output
        total = time.monotonic() - began
        subprocess.run(["make", "demo-clean"], cwd=clone, check=True)
    share = (compiled - compiling) / total
    note = f"{compiled - compiling:.0f} s of {total:.0f} s"
    return [Row("cold demo: time of the compiler / time of everything", share, at_least(0.85), note)]
