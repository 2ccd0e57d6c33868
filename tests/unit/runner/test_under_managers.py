# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service runner under a real supervisord and under the simulated launchd: the contract with both."""

import contextlib
import os
import plistlib
import shlex
import signal
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.service.description import open_service
from support.launchctl_simulator.control import Simulator
from support.runner_host import PATIENCE, SERVER, RunnerHost
from support.supervised_server import SUPERVISORD

pytestmark = pytest.mark.processes

LABEL = "com.llama.server"

SUPERVISOR_CONF = """\
[unix_http_server]
file={root}/s.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{root}/s.sock
[supervisord]
pidfile={root}/s.pid
logfile={root}/s.log
[program:llama-server]
command={command}
autorestart=unexpected
exitcodes=0
startsecs=1
startretries=10
stopwaitsecs=60
killasgroup=true
redirect_stderr=true
stdout_logfile={root}/runner.log
"""


@contextlib.contextmanager
def under_supervisord(host):
    if SUPERVISORD is None:
        pytest.skip("supervisor is not installed here")
    definition = host.directory / "supervisord.conf"
    definition.write_text(SUPERVISOR_CONF.format(root=host.directory, command=shlex.join(host.command())))
    description = {"manager": "supervisor", "program": "llama-server", "supervisord": SUPERVISORD}
    yield {**description, "definition": str(definition), "log": str(host.log)}


@contextlib.contextmanager
def under_launchd(host):
    domain = f"gui/{os.getuid()}"
    definition = host.directory / "LaunchAgents" / f"{LABEL}.plist"
    definition.parent.mkdir()
    job = {
        "Label": LABEL,
        "ProgramArguments": host.command(),
        "KeepAlive": {"Crashed": True, "SuccessfulExit": False},
        "ThrottleInterval": 0,
        "ExitTimeOut": PATIENCE,
        "StandardOutPath": str(host.directory / "runner.log"),
        "StandardErrorPath": str(host.directory / "runner.log"),
    }
    definition.write_bytes(plistlib.dumps(job))
    with Simulator(host.directory / "mac") as mac:
        mac.login(os.getuid())
        description = {"manager": "launchd", "name": LABEL, "domains": [domain], "launchctl": mac.launchctl}
        yield {**description, "definition": str(definition), "log": str(host.log)}


@pytest.fixture(params=[under_supervisord, under_launchd])
def managed(request):
    with tempfile.TemporaryDirectory(prefix="ru") as root:
        host = RunnerHost(Path(root).resolve())
        host.config["fast_exit"]["settle_seconds"] = 1  # supervisord's startsecs
        with request.param(host) as description:
            host.service = open_service(description)
            try:
                yield host
            finally:
                host.service.clear()
                host.close()


def servers(host):
    return processes.find(lambda p: p.has_arguments(str(SERVER), str(host.fifo)))


def wait_until_talking(host, starts):
    assert wait_until(lambda: host.server_lines().count("ready") == starts, PATIENCE), host.text()


def test_a_crash_is_answered_with_a_start_and_a_stop_with_peace(managed):
    managed.service.start()
    wait_until_talking(managed, 1)
    managed.tell(f"die {signal.SIGSEGV}")
    wait_until_talking(managed, 2)
    assert len(servers(managed)) == 1
    managed.service.stop()
    assert not managed.service.status()["running"]
    assert not servers(managed) and managed.server_lines()[-1] == "last words"


def test_a_runner_that_is_killed_is_replaced_with_its_server(managed):
    managed.service.start()
    wait_until_talking(managed, 1)
    os.kill(managed.service.status()["pid"], signal.SIGKILL)
    wait_until_talking(managed, 2)
    assert [server.pid for server in servers(managed)] == [managed.server_pid()]


def test_a_server_that_cannot_start_is_left_in_peace_until_somebody_starts_it(managed):
    argv = managed.config["argv"]
    managed.config["argv"] = ["/bin/sh", "-c", "exit 3"]
    managed.command()
    with contextlib.suppress(LlamaCppError):  # which says that it does not stay up
        managed.service.start()
    assert wait_until(lambda: managed.state()["held"] and not managed.service.status()["running"], PATIENCE)
    assert managed.service.status()["state"] in ("EXITED", "not running")
    assert managed.service.status()["last_exit"] == 0
    assert len([line for line in managed.runner_lines() if line.startswith("starting")]) == 3
    managed.config["argv"] = argv
    managed.command()
    managed.service.start()
    wait_until_talking(managed, 1)
    assert not managed.state()["held"]
