# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The watchdog beside the real llama-server, both under one real supervisord, as the play sets them up."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.service.description import open_service

from support.commands import TOOLS
from support.plays import free_port, processes_below
from support.runner_host import RUNNER
from support.service_plan import render, service_plan, write_launcher

DEADLINE = 120


class Watched:
    """A llama-server and its watchdog, below the short path ``root``.

    :param command: the words that start it, but for its address. :param models: what client.json says of its models,
        the first of which is the default.
    """

    def __init__(self, root, command, settings, models=()):
        self.root = Path(root)
        self.port = free_port()
        self.server = LlamaServer(f"http://127.0.0.1:{self.port}", timeout=DEADLINE)
        plan = service_plan(root)
        self._watchdog = {**settings, "log": str(self.root / "watchdog.log"), "state_file": str(self.root / "w.json")}
        plan["watchdog"] = {
            "enabled": True,
            "program": "llama-watchdog",
            "launcher": str(self.root / "service" / "llama-watchdog"),
        }
        plan["paths"].update(tools_dir=str(self.root / "tools"), client_config=str(self.root / "tools" / "client.json"))
        self.definition = self.root / "supervisord.conf"
        self.definition.write_text(render("supervisord.conf.j2", plan))
        self.description = {
            "manager": "supervisor",
            "definition": str(self.definition),
            "program": "llama-server",
            "supervisord": str(Path(sys.executable).parent / "supervisord"),
        }
        self._install_runner(plan, [*map(str, command), "--host", "127.0.0.1", "--port", str(self.port)])
        self._install_tools(plan, list(models))

    def _install_runner(self, plan, argv):
        config = {
            "_": "written by a test",
            "argv": argv,
            "environment": {"HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root)},
            "beside": [],
            "key_files": {},
            "inputs": [argv[0]],
            "log_file": plan["service"]["output_file"],
            "rotation": {"max_bytes": 1_000_000, "keep": 1},
            "state_file": str(self.root / "runner-state.json"),
            "stop_seconds": 5,
            "fast_exit": {"seconds": 1, "limit": 5, "settle_seconds": 2},
        }
        file = self.root / "runner.json"
        file.write_text(json.dumps(config))
        write_launcher(plan, f"exec {shlex.quote(sys.executable)} -I {RUNNER} --config {file}")

    def _install_tools(self, plan, models):
        tools = self.root / "tools"
        (tools / "venv" / "bin").mkdir(parents=True)
        (tools / "venv" / "bin" / "python").symlink_to(sys.executable)
        (tools / "lib").symlink_to(TOOLS)
        launcher = Path(plan["watchdog"]["launcher"])
        launcher.write_text(render("llama-watchdog.sh.j2", plan))
        launcher.chmod(0o755)
        config = {
            "server": {"url": self.server.base_url, "model": models[0]["name"] if models else None},
            "models": models,
            "service": self.description,
            "watchdog": self._watchdog,
        }
        self._client = tools / "client.json"
        self._client.write_text(json.dumps(config))

    def run(self, program, *words):
        """What one of the commands does: the finished process."""
        command = [sys.executable, "-I", str(TOOLS), program, *words]
        environment = {**os.environ, "LLAMA_CPP_CLIENT_CONFIG": str(self._client)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=DEADLINE, check=False)

    @property
    def service(self):
        return open_service(self.description)

    @property
    def pid(self):
        """The process that the service manager has: the runner, whose child the server is."""
        return self.service.status()["pid"]

    @property
    def server_pid(self):
        return json.loads((self.root / "runner-state.json").read_text())["child"]["pid"]

    @property
    def log(self):
        return Path(self._watchdog["log"]).read_text()

    def memory(self):
        """What the watchdog remembers after its last look; empty before the first."""
        file = Path(self._watchdog["state_file"])
        return json.loads(file.read_text()) if file.exists() else {}

    def until(self, state):
        assert wait_until(lambda: self.memory().get("state") == state, DEADLINE, poll=0.01), self.log

    def looks(self, seen, count, while_true=lambda: True):
        """Wait for ``count`` looks in a row, or as long as ``while_true()`` holds; how many of them saw ``seen``."""
        times = {}
        assert wait_until(lambda: self._note(times) >= count or not while_true(), DEADLINE, poll=0.01)
        return sum(what == seen for what in times.values())

    def _note(self, times):
        memory = self.memory()
        times[memory["looked"]] = memory["seen"]
        return len(times)

    def close(self):
        self.service.clear()
        processes.end(processes_below(self.root), patience=0)
        assert wait_until(lambda: not processes_below(self.root), DEADLINE)


@contextlib.contextmanager
def watching(command, settings, models=()):
    """Lends a :class:`Watched`, both programs started, once the watchdog finds all well."""
    with tempfile.TemporaryDirectory(prefix="wd") as root:
        both = Watched(os.path.realpath(root), command, {"interval": 0.2, "looks": 3, **settings}, models)
        try:
            both.service.start()
            both.until("answering")
            yield both
        finally:
            both.close()
