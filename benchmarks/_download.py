# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Fetches one model over loopback in three ways, in turn, and keeps what each took, for all download benchmarks."""

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from ansible_collections.macos_setup.llm.plugins.module_utils.fleet import seed_process
from support import model_factory as factory
from support.paths import COLLECTIONS

SIZE = 2**30
ROUNDS = 5

MODULE = """
import atexit, importlib, sys, time
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
main = importlib.import_module(sys.argv[1]).main
began = time.monotonic()
atexit.register(lambda: print(time.monotonic() - began, file=sys.stderr))
main()
"""
GGUF_MODEL = "ansible_collections.macos_setup.llm.plugins.modules.gguf_model"
GET_URL = "ansible.modules.get_url"
CURL = 'curl --silent --show-error --fail --output "$1" "$2" && sha256sum "$1"'


class Run(NamedTuple):
    """What one process took, its children included."""

    seconds: float
    inside: float  # of that, between the call of a module's main() and the end of its process
    peak_kib: int
    result: dict


@functools.cache
def rounds():
    """``ROUNDS`` times a Run by "gguf_model", "get_url", "curl", and "again": gguf_model with the file in place."""
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch, "origin.gguf")
        sha256 = write_model(model, SIZE)
        with served(model, sha256) as url:
            return [_one_round(Path(scratch, "target"), url, sha256) for _ in range(ROUNDS)]


def _one_round(directory, url, sha256):
    runs = {}
    target = directory / "model.gguf"
    ours = {"name": "model", "dest": str(target), "source": {"url": url}, "sha256": sha256, "bytes": SIZE}
    with _emptied(directory):
        runs["gguf_model"] = module(GGUF_MODEL, {"files": [ours]})
        runs["again"] = module(GGUF_MODEL, {"files": [ours]})
        assert (runs["gguf_model"].result["changed"], runs["again"].result["changed"]) == (True, False)
    with _emptied(directory):
        theirs = {"url": url, "dest": str(target), "checksum": "sha256:" + sha256, "timeout": 60}
        runs["get_url"] = module(GET_URL, theirs)
        assert runs["get_url"].result["changed"]
    with _emptied(directory):
        runs["curl"] = measured(["/bin/sh", "-c", CURL, "sh", str(target), url], "")
        assert runs["curl"].result == sha256
    return runs


@contextlib.contextmanager
def _emptied(directory):
    """An empty directory, with nothing of what came before still on its way to the disk."""
    subprocess.run(["rm", "-rf", str(directory)], check=True)
    directory.mkdir()
    os.sync()
    yield


def module(name, arguments):
    """A module as Ansible runs it: a process of its own, arguments in, JSON out."""
    run = measured([sys.executable, "-c", MODULE, name], json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    assert not run.result.get("failed"), run.result
    return run


def measured(command, text):
    """Run ``command``; what it printed is read as JSON, or else is its first word."""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        text=True,
    )
    process.stdin.write(text)
    process.stdin.close()
    printed = process.stdout.read().strip()
    said = process.stderr.read().split()
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    assert process.returncode == 0, (printed, said)
    result = json.loads(printed) if printed.startswith("{") else printed.split()[0]
    return Run(seconds, float(said[-1]) if said else seconds, _kib(usage), result)


def _kib(usage):
    return usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)


@contextlib.contextmanager
def served(model, sha256):
    """The address of ``model`` on a server that costs little, in a process of its own."""
    status = model.stat()
    facts = {"path": str(model), "size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
    base, token, process = seed_process.start({sha256: facts}, seed_process.LOOPBACK, idle_seconds=600)
    try:
        yield f"{base}{sha256}?{token}"
    finally:
        seed_process.stop(process)


def write_model(path, size):
    """Write a sound GGUF file of ``size`` bytes in little memory; its SHA-256."""
    without_data = factory.header(tensors=[factory.tensor("weights", [0])])
    head = factory.header(tensors=[factory.tensor("weights", [size - len(without_data)])])
    block = os.urandom(2**20)
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        piece = head
        while piece:
            stream.write(piece)
            digest.update(piece)
            piece = block[: size - stream.tell()]
    return digest.hexdigest()
