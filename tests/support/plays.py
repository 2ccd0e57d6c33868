# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Plays that are followed while they run, and the directories that stand for hosts."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes

from support.known_answer import answers
from support.paths import REPOSITORY

BIN = Path(sys.executable).parent

#: Feature flags for a test that is about something else: what is left out costs no time.
WITHOUT_TOOLS = {"install_client_tools": False}
ENGINE_ALONE = {**WITHOUT_TOOLS, "download_models": False, "setup_service": False}

PATIENCE_SECONDS = 20  # of somebody who has pressed Ctrl-C


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes_below(directory):
    """The pids of all processes whose command line mentions a path below ``directory``."""
    below = str(directory) + os.sep
    return [process.pid for process in processes.find(lambda process: process.mentions(below))]


def listing(directory):
    """Relative path -> type and mode of everything below ``directory``."""
    found = {}
    for parent, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            found[os.path.relpath(path, directory)] = (stat.S_IFMT(mode), oct(stat.S_IMODE(mode)))
    return found


class Play:
    """A command that is followed while it runs; its output is collected line by line."""

    def __init__(self, command, directory, environment=None):
        self.lines = []
        self._process = subprocess.Popen(
            [str(word) for word in command],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", **(environment or {})},
        )

    @property
    def output(self):
        return "\n".join(self.lines)

    def until(self, condition):
        """Read on until ``condition(line)`` holds; returns that line, or None at the end of the output."""
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if condition(self.lines[-1]):
                return self.lines[-1]
        return None

    def interrupt(self):
        """What Ctrl-C in a terminal does: SIGINT to the whole foreground group.

        ansible-playbook may hang then (2.19: the main process waits for a lock that an ended worker has); whoever sits
        before it kills it, and so does this.
        """
        os.killpg(self._process.pid, signal.SIGINT)
        impatience = threading.Timer(PATIENCE_SECONDS, os.killpg, (self._process.pid, signal.SIGKILL))
        impatience.start()
        self.wait()
        impatience.cancel()

    def kill(self):
        os.killpg(self._process.pid, signal.SIGKILL)
        self.wait()

    def wait(self):
        self.until(lambda _line: False)
        return self._process.wait()


def recap(output):
    """The counters of a play's last line for its only host: {"ok": 12, "changed": 0, …}."""
    line = [line for line in output.splitlines() if " changed=" in line][-1]
    return {key: int(value) for key, _equals, value in (word.partition("=") for word in line.split() if "=" in word)}


def announced_gap(output):
    """The downtime in seconds that a play or a command reports."""
    (seconds,) = set(re.findall(r"[Dd]owntime:\s+([0-9.]+)\s+s", output))
    return float(seconds) + 0.1  # it was rounded


class Host:
    """Runs the playbook against one directory and looks at what it left there.

    :param engine: the directory of the compiled programs, which it adopts.
    :param workspace: the name of the installation's directory. Every path must survive this one.
    """

    def __init__(self, directory, engine, workspace="llm & co's $(exit 1) workspace"):
        self.directory = directory
        self.install = directory / workspace
        self.bin = directory / "bin"
        self.port = free_port()
        self.config = {
            "llm_settings": {
                "install_dir": str(self.install),
                "bin_dir": str(self.bin),
                "default_model": "selftest",
                "server_port": self.port,
            },
            "models": {"selftest": {"catalog": "selftest"}},
            "engine": {"source": "existing", "path": str(engine)},
            "server": {"arguments": {"threads": 1}},  # as the self-test does
            "service": {"manager": "supervisor"},
        }

    def command(self, *arguments, playbook=None):
        file = self.directory / "llm_config.json"
        file.write_text(json.dumps(self.config))
        return [
            BIN / "ansible-playbook",
            playbook or REPOSITORY / "playbooks" / "macos_setup.yml",
            "-e",
            json.dumps({"llama_cpp_config_file": str(file), "llama_cpp_install_packages": False}),
            *arguments,
        ]

    def play(self, *arguments, playbook=None, directory=REPOSITORY, environment=None, expect=0):
        """Run the playbook to its end; returns its output."""
        play = self.begin(*arguments, playbook=playbook, directory=directory, environment=environment)
        code = play.wait()
        assert code == expect, play.output
        return play.output

    def begin(self, *arguments, playbook=None, directory=REPOSITORY, environment=None):
        """Start the playbook; returns the :class:`Play`."""
        return Play(self.command(*arguments, playbook=playbook), directory, environment)

    def run(self, command, *arguments, timeout=60):
        return subprocess.run(
            [str(self.bin / command), *arguments], capture_output=True, text=True, timeout=timeout, check=False
        )

    def option(self, name):
        """The value of an option of the server, as the installed configuration of the runner has it."""
        words = json.loads((self.install / "service" / "runner.json").read_text())["argv"]
        return words[words.index(name) + 1]

    def release(self):
        """The name of the current release."""
        return os.path.basename(os.readlink(self.install / "engine" / "current"))

    def servers(self):
        """The pids of the running llama-servers. (Other parts of a service fork, and show twice for a moment.)"""
        below = str(self.install) + os.sep
        found = processes.find(lambda process: process.mentions(below) and process.has_arguments("--alias"))
        return [process.pid for process in found]

    def starts(self):
        """How often the server was started, by its log."""
        return (self.install / "logs" / "llama-server.log").read_text().count("listening on http")

    def answers(self):
        """Whether the server gives the right answer to who knows its key."""
        return answers("http://127.0.0.1:%d" % self.port, self.install / "service" / "api-key")
