# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A simulated Mac that the role has set up, looked at from outside: by its launchctl, its commands, its files."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import requests
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.rotating_log import numbered, rotated_numbers
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.launchctl import Launchctl

from support.known_answer import answers
from support.launchctl_simulator.control import Simulator

PATIENCE = 120
SERVER, WATCHDOG = "com.llama.server", "com.llama.watchdog"


class ProvisionedMac:
    """``directory`` is the scenario's host. ``simulator`` is the Mac itself: what its people do to it."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.uid = os.getuid() or 501  # as the scenario's inventory has it
        self.simulator = Simulator(self.directory / "mac", guard_pid=0)
        self.launchctl = Launchctl(self.simulator.launchctl)
        self.home = self.directory / "Users" / "sam"
        self.install = self.home / "llm & co's workspace"
        self.log = self.install / "logs" / "llama-server.log"
        self.domain = "gui/%d" % self.uid
        self.plists = self.home / "Library" / "LaunchAgents"

    def be_a_daemon(self):
        """From here on, what is asked of the job is asked of the one in the domain system."""
        self.domain = "system"
        self.plists = self.directory / "Library" / "LaunchDaemons"

    # -- launchd ------------------------------------------------------------------------------------------------

    def target(self, label=SERVER, domain=None):
        return "%s/%s" % (domain or self.domain, label)

    def plist(self, label=SERVER):
        return self.plists / (label + ".plist")

    def job(self, label=SERVER):
        """The loaded job as ``launchctl print`` shows it, or None."""
        return self.launchctl.job(self.target(label))

    def pid(self, label=SERVER):
        """The process that launchd has for the job: the runner, whose child the server is."""
        job = self.job(label)
        return job.pid if job else None

    # -- the server ---------------------------------------------------------------------------------------------

    def servers(self):
        """The pids of all llama-servers of this Mac, whoever started them."""
        program = str(self.install / "engine" / "current" / "bin" / "llama-server")
        return [process.pid for process in processes.find(lambda process: process.has_arguments(program))]

    def run_state(self):
        """What the runner tells ``llm-manager status``."""
        return json.loads((self.install / "service" / "run" / "llama-server.json").read_text())

    def key(self):
        return (self.install / "service" / "api-key").read_text().strip()

    def url(self):
        return json.loads((self.install / "tools" / "client.json").read_text())["server"]["url"]

    def complete(self, session=requests, **body):
        """The response to a prompt, which the model goes on with."""
        headers = {"Authorization": "Bearer " + self.key()}
        body = {"prompt": "Hello", "temperature": 0, **body}
        return session.post(
            self.url() + "/completion", json=body, headers=headers, timeout=PATIENCE, stream=body.get("stream", False)
        )

    def answers(self):
        """Whether the server gives the right answer to who knows its key."""
        return answers(self.url(), self.install / "service" / "api-key")

    def is_well(self):
        """Whether there is one server, and it answers; waits for it."""
        return wait_until(self.answers, PATIENCE) and len(self.servers()) == 1

    def command(self, name, *arguments):
        command = [str(self.home / "bin" / name), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    # -- the watchdog -------------------------------------------------------------------------------------------

    def watchdog_memory(self):
        """What the watchdog remembers after its last look; empty before the first."""
        file = self.install / "service" / "run" / "watchdog.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def watchdog_looks(self, seen, count):
        """Wait until the watchdog has looked ``count`` times more and seen ``seen`` each time."""
        times = {self.watchdog_memory().get("looked")}

        def enough():
            memory = self.watchdog_memory()
            assert memory["seen"] == seen or len(times) == 1, memory
            if memory["seen"] == seen:
                times.add(memory["looked"])
            return len(times) > count

        return wait_until(enough, PATIENCE, poll=0.05)

    # -- the log ------------------------------------------------------------------------------------------------

    def log_files(self):
        """The log as a list of files, the oldest first."""
        numbers = [*reversed(rotated_numbers(str(self.log))), 0]
        return [Path(numbered(str(self.log), number)) for number in numbers]

    def log_lines(self):
        """All lines of the log, oldest first; of a server that is at rest."""
        return [line for file in self.log_files() for line in file.read_text().splitlines()]

    @contextlib.contextmanager
    def asleep(self, *pids):
        """``pids`` neither run nor end while the block does."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
