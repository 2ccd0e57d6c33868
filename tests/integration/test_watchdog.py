# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The watchdog beside the real llama-server, both under one real supervisord, as the play sets them up."""

import json
import os
import shlex
import signal
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.llama_api import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.service import open_service
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.commands import TOOLS
from support.paths import REPOSITORY
from support.plays import free_port, processes_below
from support.runner_host import RUNNER
from support.service_plan import render, service_plan, write_launcher

DEADLINE = 120
MODEL = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"

#: A context so large that the self-test model takes a second or two to load: the memory for it is cleared first.
SLOW_TO_LOAD = ["--ctx-size", "3000000"]


class Watched:
    """A llama-server with one slot, started with ``arguments``, and its watchdog, below the short path ``root``."""

    def __init__(self, root, engine, arguments, settings):
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
        own = ["--model", MODEL, "--host", "127.0.0.1", "--port", self.port, "--parallel", 1, "--offline"]
        self._install_runner(plan, [str(word) for word in (engine / "llama-server", *own, *arguments)])
        self._install_tools(plan)

    def _install_runner(self, plan, argv):
        config = {
            "_": "written by a test",
            "argv": argv,
            "environment": {"HOME": str(self.root), "XDG_CONFIG_HOME": str(self.root)},
            "beside": [],
            "key_files": {},
            "inputs": [str(MODEL)],
            "log_file": plan["service"]["output_file"],
            "rotation": {"max_bytes": 1_000_000, "keep": 1},
            "state_file": str(self.root / "runner-state.json"),
            "stop_seconds": 5,
            "fast_exit": {"seconds": 1, "limit": 5, "settle_seconds": 2},
        }
        file = self.root / "runner.json"
        file.write_text(json.dumps(config))
        write_launcher(plan, f"exec {shlex.quote(sys.executable)} -I {RUNNER} --config {file}")

    def _install_tools(self, plan):
        tools = self.root / "tools"
        (tools / "venv" / "bin").mkdir(parents=True)
        (tools / "venv" / "bin" / "python").symlink_to(sys.executable)
        (tools / "lib").symlink_to(TOOLS)
        launcher = Path(plan["watchdog"]["launcher"])
        launcher.write_text(render("llama-watchdog.sh.j2", plan))
        launcher.chmod(0o755)
        config = {"server": {"url": self.server.base_url}, "service": self.description, "watchdog": self._watchdog}
        (tools / "client.json").write_text(json.dumps(config))

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


@pytest.fixture
def watched(engine):
    """``watched(*arguments, **settings)`` starts both programs and waits until the watchdog finds all well."""
    opened = []

    def start(*arguments, **settings):
        root = tempfile.TemporaryDirectory(prefix="wd")
        found = Watched(os.path.realpath(root.name), engine, arguments, {"interval": 0.2, "looks": 3, **settings})
        opened.append((root, found))
        found.service.start()
        found.until("answering")
        return found

    yield start
    for root, found in opened:
        found.close()
        root.cleanup()


def test_a_stopped_server_is_healed(watched):
    both = watched(answer_seconds=1)
    pid, server = both.pid, both.server_pid
    os.kill(server, signal.SIGSTOP)
    assert wait_until(lambda: both.pid not in (None, pid), DEADLINE), both.log
    both.until("answering")
    assert both.server.complete("Hello", n_predict=4)["tokens_predicted"] > 0
    assert not processes.alive(pid) and not processes.alive(server)
    assert both.log.count(" restarted: ") == 1 and f"process {pid} was killed" in both.log


def test_a_long_generation_on_the_only_slot_is_not_interrupted(watched):
    """It takes far longer than a silence that is put up with."""
    both = watched("--context-shift", answer_seconds=1, stall_seconds=5)
    pid, answers, looks, length = both.pid, [], 0, 5000
    while looks < 25:  # as long as this machine needs for so many looks
        length *= 2
        generation = threading.Thread(
            target=lambda n=length: answers.append(both.server.complete("Hello", n_predict=n, ignore_eos=True))
        )
        generation.start()
        looks = both.looks("working", 10_000, generation.is_alive)
        generation.join()
        assert (answers[-1]["tokens_predicted"], answers[-1]["stop_type"]) == (length, "limit")
    assert both.pid == pid
    assert "restarted" not in both.log


def test_a_loading_server_is_left_alone(watched):
    both = watched(*SLOW_TO_LOAD, interval=0.05, looks=2, answer_seconds=5, load_seconds=0.1)
    both.service.stop()
    both.until("down")
    both.service.start()
    pid = both.pid
    both.until("loading")
    both.until("answering")
    assert both.pid == pid
    assert "restarted" not in both.log


def test_an_idle_server_may_unload_its_model_and_load_it_again(watched):
    both = watched("--sleep-idle-seconds", 1, *SLOW_TO_LOAD, interval=0.05, answer_seconds=0.3, idle_unload_seconds=1)
    pid = both.pid
    for _ in range(2):
        both.until("sleeping")
        assert both.looks("sleeping", 40) >= 39  # it is not woken by being looked at
        assert both.server.complete("Hello", n_predict=1)["tokens_predicted"] == 1
    assert both.pid == pid
    assert "restarted" not in both.log


def test_the_service_and_its_watchdog_do_not_disturb_each_other(watched):
    both = watched(answer_seconds=10)
    pid, others = both.pid, processes_below(both.root)
    assert not both.service.drifted()  # every run of the play looks,
    both.service.start()  # and starts what does not run
    assert (both.pid, processes_below(both.root)) == (pid, others)
    looked = both.memory()["looked"]
    assert wait_until(lambda: both.memory()["looked"] > looked, DEADLINE)
    both.service.stop()
    both.until("down")
    both.service.clear()
    assert wait_until(lambda: not processes_below(both.root), DEADLINE)
