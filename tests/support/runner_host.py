# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service runner, run from the checkout as a service manager runs it, with a talking server or any other."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.rotating_log import numbered, rotated_numbers
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until

from support.paths import REPOSITORY

RUNNER = REPOSITORY / "roles" / "llama_cpp" / "files" / "service_runner"
SERVER = Path(__file__).with_name("talking_server.py")
PATIENCE = 60

#: What stands before every line of the log.
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ")
OWN = "service_runner: "


class RunnerHost:
    """Everything lies under ``directory``. ``config`` is what the runner is told at its next start."""

    def __init__(self, directory, on_term="exit"):
        self.directory = Path(directory)
        self.fifo = self.directory / "a fifo"
        os.mkfifo(self.fifo)
        self.log = self.directory / "logs" / "llama-server.log"
        self.log.parent.mkdir()
        self.state_file = self.directory / "state.json"
        self.config = {
            "_": "written by a test",
            "argv": [sys.executable, str(SERVER), str(self.fifo), on_term],
            "environment": {"HOME": str(self.directory)},
            "beside": [],
            "key_files": {},
            "inputs": [sys.executable],
            "log_file": str(self.log),
            "rotation": {"max_bytes": 10_000_000, "keep": 5},
            "state_file": str(self.state_file),
            "stop_seconds": PATIENCE,
            "fast_exit": {"seconds": PATIENCE, "limit": 3, "settle_seconds": 0},
        }
        self.kills = 0  # of the runner while it wrote: each may have cut off one line, within the time too
        self._started = []

    def command(self):
        """The command line of the runner, for the configuration as it is now."""
        path = self.directory / "runner.json"
        path.write_text(json.dumps(self.config), encoding="utf-8")
        return [sys.executable, "-I", str(RUNNER), "--config", str(path)]

    def start(self, **options):
        """The running runner (subprocess.Popen), whose own words go to a pipe."""
        runner = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
        self._started.append(runner)
        return runner

    def start_talking(self, **options):
        """The running runner, once its server listens to :meth:`tell`."""
        before = self.server_lines().count("ready")
        runner = self.start(**options)
        assert wait_until(lambda: self.server_lines().count("ready") > before, PATIENCE, poll=0.01), self.text()
        return runner

    def run(self, *commands):
        """Start, have the server do ``commands``, and wait for the end of both; returns the runner's exit status."""
        runner = self.start_talking()
        for command in commands:
            self.tell(command)
        return runner.wait(PATIENCE)

    def tell(self, command):
        descriptor = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)  # fails, instead of waiting, when nobody listens
        os.set_blocking(descriptor, True)
        with open(descriptor, "w", encoding="utf-8") as commands:
            commands.write(command + "\n")

    def tell_and_wait(self, command):
        """Returns when the server has done it."""
        done = self.directory / "done"
        self.tell(command)
        self.tell(f"make {done}")
        assert wait_until(done.exists, PATIENCE, poll=0.01)
        done.unlink()

    def files(self):
        """The log as a list of files, the oldest first."""
        numbers = [*reversed(rotated_numbers(str(self.log))), 0] if self.log.parent.exists() else []
        return [path for path in (Path(numbered(str(self.log), number)) for number in numbers) if path.exists()]

    def text(self):
        """What all files of the log hold; read again when a rotation moved them meanwhile."""
        texts = []

        def read_at_rest():
            with contextlib.suppress(FileNotFoundError):
                before = self._identities()
                texts[:] = [path.read_bytes() for path in self.files()]
                return self._identities() == before
            return False

        assert wait_until(read_at_rest, PATIENCE, poll=0.01)
        return b"".join(texts).decode("utf-8")

    def _identities(self):
        return [(path.name, path.stat().st_ino) for path in self.files()]

    def lines(self):
        """The complete lines of the log, oldest first, without the time, which each of them must have."""
        lines = self.text().split("\n")[:-1]
        bare = [line for line in lines if not STAMP.match(line)]
        assert len(bare) <= self.kills, bare
        return [STAMP.sub("", line, count=1) for line in lines if STAMP.match(line)]

    def server_lines(self):
        return [line for line in self.lines() if not line.startswith(OWN)]

    def runner_lines(self):
        return [line[len(OWN) :] for line in self.lines() if line.startswith(OWN)]

    def wait_for(self, line):
        assert wait_until(lambda: line in self.server_lines(), PATIENCE, poll=0.01), self.text()[-2000:]

    def state(self):
        with contextlib.suppress(FileNotFoundError):
            return json.loads(self.state_file.read_text(encoding="utf-8"))

    def server_pid(self):
        return self.state()["child"]["pid"]

    def guard_of(self, runner):
        """The pid of the runner's guard."""
        (guard,) = processes.find(lambda p: p.parent == runner.pid and p.has_arguments("/bin/sh"))
        return guard.pid

    def close(self):
        """Leave no process behind."""
        for runner in self._started:
            runner.kill()
            runner.communicate()
        ours = processes.find(lambda process: process.mentions(str(self.directory)))
        assert not processes.end([process.pid for process in ours], 0)


def said(count, word="line"):
    """What a talking server prints when it is told to ``say`` so many lines."""
    return [f"{word} {number}." for number in range(count)]
