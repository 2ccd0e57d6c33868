# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs ``fake_llama_server.py`` on a free port for as long as a test needs it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

FAKE = Path(__file__).with_name("fake_llama_server.py")
START_SECONDS = 30


@contextlib.contextmanager
def fake_server(directory, mode="ready", answers=(), *, key=None, alias="tiny", port=0):
    """Lends the URL of a stand-in that runs in ``mode`` and knows ``answers``, a dict of question to answer.

    With ``key``, ``directory/key`` is its key file. Its log is ``directory/server.log``. Port 0 is a free one.
    """
    model, log = directory / "model.gguf", directory / "server.log"
    model.write_bytes(b"GGUF")
    pairs = [{"question": question, "answer": answer} for question, answer in dict(answers).items()]
    (directory / "answers.json").write_text(json.dumps({"answers": pairs}), encoding="utf-8")
    command = [sys.executable, str(FAKE), "--model", str(model), "--port", str(port), "--alias", alias]
    if key:
        (directory / "key").write_text(key + "\n", encoding="utf-8")
        command += ["--api-key-file", str(directory / "key")]
    environment = {**os.environ, "FAKE_LLAMA_MODE": mode, "FAKE_LLAMA_ANSWERS": str(directory / "answers.json")}
    with open(log, "wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        yield "http://" + _address(process, log)
    finally:
        process.kill()
        process.wait()


def _address(process, log):
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.startswith("listening on ") and line.endswith("\n"):
                return line.split()[-1]
        time.sleep(0.01)
    raise AssertionError(f"the stand-in did not start: {log.read_text(encoding='utf-8')}")
