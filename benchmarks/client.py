# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How fast `llm` starts, against another client of the terminal, and how soon it shows what the server says.

The other one is the Python package llm, which is installed into a directory of its own for this; where no package index
can be reached, that row is left out.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from support.built_engine import find_or_build_server
from support.commands import TOOLS
from support.paths import REPOSITORY

from benchmarks._rows import Row, at_most

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
OTHER = "llm==0.36"
QUESTION = "What is the capital of France?"
ROUNDS = 25


def measure():
    with (
        tempfile.TemporaryDirectory() as directory,
        TemporaryServer(str(find_or_build_server()), str(SELFTEST), ["--threads", "1"]) as server,
    ):
        environment = {**os.environ, "LLM_BASE_URL": server.base_url, "XDG_DATA_HOME": directory}
        return [start_up(Path(directory), environment), first_token(server.base_url, environment)]


def start_up(directory, environment):
    title = "llm health / llm --version of simonw/llm 0.36: wall time"
    other = installed(directory / "other")
    if other is None:
        return Row(title, None, at_most(0.15), f"no package index has {OTHER}")
    ours, theirs = [sys.executable, "-I", "-S", TOOLS, "llm", "health"], [other, "--version"]
    seconds = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, command in (("ours", ours), ("theirs", theirs)):
            began = time.perf_counter()
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - began)
    mine, other = (1000 * statistics.median(seconds[name]) for name in ("ours", "theirs"))
    return Row(title, mine / other, at_most(0.15), f"median of {ROUNDS}: {mine:.0f} of {other:.0f} ms")


def installed(directory):
    """The other program, installed into ``directory``; None where it cannot be had."""
    uv, python = Path(sys.executable).with_name("uv"), directory / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, directory], check=True)
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, OTHER], check=False
    )
    return directory / "bin" / "llm" if done.returncode == 0 else None


def first_token(url, environment):
    message = {"role": "user", "content": QUESTION}
    body = json.dumps({"messages": [message], "stream": True, "max_tokens": 64})
    curl = ["curl", "--silent", "--no-buffer", "--header", "Content-Type: application/json", "--data", body]
    ours = [sys.executable, "-I", "-S", TOOLS, "llm", "--no-save", QUESTION]
    later = []
    for _ in range(ROUNDS):
        theirs = seconds_to([*curl, f"{url}/v1/chat/completions"], b'"content":"', None)
        later.append(1000 * (seconds_to(ours, b"T", environment) - theirs))
    title = "llm: ms from the first token that curl sees to its own"
    return Row(title, statistics.median(later), at_most(40), f"median of {ROUNDS}")


def seconds_to(command, sign, environment):
    """Seconds from the start of ``command`` until ``sign`` is in what it printed."""
    began, seen, found = time.perf_counter(), b"", None
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, bufsize=0) as process:
        while piece := process.stdout.read(65536):
            seen += piece
            if found is None and sign in seen:
                found = time.perf_counter() - began
    assert found is not None, seen
    return found
