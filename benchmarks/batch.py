# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How much of the server's throughput `llm batch` gets, against the least that sends the same requests.

Both are whole commands, start included, and ask the same server in turns. It computes in one thread: on a machine with
a second processor its work then does not compete with that of either client.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.selftest import GREEDY, known_answers
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from support.built_engine import find_or_build_server
from support.commands import TOOLS
from support.paths import REPOSITORY

from benchmarks._rows import Row, at_least

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
LOOP = Path(__file__).with_name("_batch_loop.py")
PARALLEL, LINES, ROUNDS = 8, 1000, 5
SENTENCES = 9  # the first answers are sentences, the others numbers


def measure():
    seconds = {"llm batch": [], "loop": []}
    options = ["--parallel", str(PARALLEL), "--threads", "1"]
    with (
        tempfile.TemporaryDirectory() as directory,
        TemporaryServer(str(find_or_build_server()), str(SELFTEST / "selftest.gguf"), options) as server,
    ):
        source = Path(directory, "input.jsonl")
        write_requests(source)
        for _ in range(ROUNDS):
            for name, command in commands(server.base_url, source, Path(directory)).items():
                seconds[name].append(time_of(command, server.base_url))
    ratios = [loop / ours for loop, ours in zip(seconds["loop"], seconds["llm batch"])]
    rate = LINES / statistics.median(seconds["llm batch"])
    note = f"median of {ROUNDS}; llm batch {rate:.0f} lines/s"
    title = f"llm batch --parallel {PARALLEL}: throughput / that of a minimal asynchronous loop"
    return [Row(title, statistics.median(ratios), at_least(0.95), note)]


def write_requests(path):
    known = known_answers(str(SELFTEST / "answers.json"))
    questions = [pair["question"] for pair in known["answers"][:SENTENCES]]
    with open(path, "w", encoding="utf-8") as stream:
        for index in range(LINES):
            message = {"role": "user", "content": questions[index % len(questions)]}
            body = {"messages": [message], "max_tokens": known["max_tokens"], **GREEDY}
            line = {"custom_id": f"line {index}", "method": "POST", "url": "/v1/chat/completions", "body": body}
            stream.write(json.dumps(line) + "\n")


def commands(url, source, directory):
    """The two commands by name; each writes a file that is not there yet."""
    port = str(urllib.parse.urlsplit(url).port)
    ours, theirs = directory / "ours.jsonl", directory / "theirs.jsonl"
    ours.unlink(missing_ok=True)
    batch = [TOOLS, "llm", "batch", source, "-o", ours, "--parallel", str(PARALLEL)]
    return {"loop": [LOOP, port, source, theirs, str(PARALLEL)], "llm batch": batch}


def time_of(command, url):
    began = time.monotonic()
    environment = {**os.environ, "LLM_BASE_URL": url}
    done = subprocess.run([sys.executable, "-I", "-S", *command], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return time.monotonic() - began
