# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs ``llm`` and ``llm-manager`` from the checkout, as their launchers do: through pipes or on a terminal."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from support import forks
from support.terminal import Terminal

TOOLS = Path(__file__).resolve().parents[2] / "roles" / "llama_cpp" / "files" / "llm_tools"
FOREIGN = (
    "LLAMA_CPP_CLIENT_CONFIG",
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
    "LLM_BASE_URL",
    "LLM_API_KEY",
    "NO_COLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "LINES",
)


class Commands:
    """The two commands with their ``client.json`` in ``directory``; ``config`` holds what it says."""

    def __init__(self, directory):
        self._path = directory / "client.json"
        self.python = sys.executable
        self.config = {
            "server": {"url": "http://127.0.0.1:1", "api_key_file": None, "ca_file": None, "model": "tiny"},
            "client": {"default_model": None, "system_prompt": None, "temperature": None, "max_tokens": None},
            "service": None,
            "models": [],
            "selftest": None,
        }

    def run(self, program, *words, stdin="", environ=None):
        """The finished process: ``returncode``, ``stdout``, ``stderr``."""
        command, environment = self._prepared(program, words, environ)
        done = forks.run(TOOLS, "llm_tools.cli", "main", program, words, stdin=stdin, environment=environment)
        return subprocess.CompletedProcess(command, *done)

    def start(self, program, *words, environ=None, **options):
        """The running process (subprocess.Popen), with pipes for stdout and stderr."""
        command, environment = self._prepared(program, words, environ)
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(command, env=environment, **options)

    def on_terminal(self, program, *words, environ=None):
        """Like :meth:`run` with all three streams on a terminal of 80 columns: (exit status, all that it shows)."""
        command, environment = self._prepared(program, words, {"TERM": "xterm-256color", **(environ or {})})
        pid, terminal = pty.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                os.execve(command[0], command, {**environment, "COLUMNS": "80", "LINES": "24"})
            os._exit(127)
        shown = b""
        with open(terminal, "rb", buffering=0) as stream, contextlib.suppress(OSError):  # EIO is Linux's end of file
            while chunk := stream.read(65536):
                shown += chunk
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode("utf-8")

    def terminal(self, program, *words, environ=None, **window):
        """The command on a :class:`Terminal` that can be typed at and resized; ``window`` is its first size."""
        command, environment = self._prepared(program, words, environ)
        return Terminal(command, {**environment, "TERM": "xterm-256color", **(environ or {})}, **window)

    def _prepared(self, program, words, environ):
        self._path.write_text(json.dumps(self.config), encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        environment["LLAMA_CPP_CLIENT_CONFIG"] = str(self._path)
        for kind in ("DATA", "CONFIG", "STATE"):
            environment[f"XDG_{kind}_HOME"] = str(self._path.with_name(kind.lower()))
        environment.update(environ or {})
        return [self.python, "-I", "-S", str(TOOLS), program, *words], environment


def interrupt(process):
    """What Ctrl-C does."""
    process.send_signal(signal.SIGINT)
