# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch`` and the real llama-server: no line is lost or repeated, whatever ends the command."""

import json
import os

from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from support.commands import Commands
from support.paths import REPOSITORY

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
LINES, KILLS, PARALLEL = 10_000, 5, "8"
SECONDS = 120


def write_requests(path):
    """As little work for the server as there is: one token for each."""
    body = {"prompt": "a", "max_tokens": 1}
    with open(path, "w", encoding="utf-8") as stream:
        for number in range(LINES):
            line = {"custom_id": f"line {number}", "method": "POST", "url": "/v1/completions", "body": body}
            stream.write(json.dumps(line) + "\n")


def test_ten_thousand_lines_killed_five_times(engine, tmp_path):
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_requests(source)
    command = ("llm", "batch", str(source), "-o", str(output), "--parallel", PARALLEL)
    commands = Commands(tmp_path)
    options = ["--parallel", PARALLEL, "--threads", "1"]
    with TemporaryServer(str(engine / "llama-server"), str(SELFTEST), options) as server:
        commands.config["server"].update(url=server.base_url, model=None)
        begun = 0
        for part in range(KILLS):
            process = commands.start(*command)
            wait_for_lines(output, begun + 500)
            process.kill()
            shown = process.communicate()[1]
            begun = lines_in(output)
            assert begun < LINES, shown
            if part % 2:  # as a kill in the middle of a write leaves it
                os.truncate(output, output.stat().st_size - 5)
        done = commands.run(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done_before"] >= KILLS * 500 - KILLS
    with open(output, encoding="utf-8") as stream:
        results = [json.loads(line) for line in stream]
    assert [result["custom_id"] for result in results] == [f"line {number}" for number in range(LINES)]
    assert all(result["error"] is None and result["response"]["body"]["choices"] for result in results)


def wait_for_lines(path, number):
    assert wait_until(lambda: lines_in(path) > number, SECONDS, 0.05)


def lines_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0
