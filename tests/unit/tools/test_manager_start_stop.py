# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager start``, ``stop`` and ``restart``, with a real supervisord."""

import json
import shlex
import sys
import types

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.crash_loop import why_held
from support.runner_host import RUNNER
from support.scripted_server import SILENCE, ScriptedServer

pytestmark = pytest.mark.processes


def pid_of(supervised):
    return supervised.service.status()["pid"]


def test_start_waits_until_the_server_is_ready(commands, supervised):
    supervised.set_mode("loading")
    done = commands.run("llm-manager", "start")
    assert done.returncode == 0, done.stderr
    assert supervised.url in done.stdout
    assert "tiny" in done.stdout
    assert commands.run("llm", "health").returncode == 0


def test_start_leaves_a_running_service_alone(commands, supervised):
    assert commands.run("llm-manager", "start").returncode == 0
    pid = pid_of(supervised)
    assert commands.run("llm-manager", "start").returncode == 0
    assert pid_of(supervised) == pid


def behind_a_runner(supervised, mode):
    """The server runs behind the service runner, which gives up after one exit and then stays as long as it may."""
    launcher = supervised.root / "service" / "llama-server.sh"
    state, config = supervised.root / "run" / "state.json", supervised.root / "runner.json"
    supervised.set_mode("ready")
    words = shlex.split(launcher.read_text().splitlines()[-1])
    settings = {
        "_": "written by a test",
        "argv": words[words.index("exec") + 1 :],
        "environment": {"FAKE_LLAMA_MODE": mode},
        "beside": [],
        "key_files": {},
        "inputs": [sys.executable],
        "log_file": str(supervised.root / "logs" / "llama-server.log"),
        "rotation": {"max_bytes": 1_000_000, "keep": 1},
        "state_file": str(state),
        "stop_seconds": 10,
        "fast_exit": {"seconds": 3600, "limit": 1, "settle_seconds": 3600},
    }
    config.write_text(json.dumps(settings))
    launcher.write_text(f"#!/bin/sh\nexec {shlex.join([sys.executable, '-I', str(RUNNER), '--config', str(config)])}\n")
    supervised.description["state_file"] = str(state)
    return str(state)


def test_start_while_a_runner_that_gave_up_is_still_there(commands, supervised):
    state = behind_a_runner(supervised, "dies")
    supervised.service.start()
    assert wait_until(lambda: why_held(state), 60) and supervised.service.status()["running"]
    behind_a_runner(supervised, "ready")
    done = commands.run("llm-manager", "start")
    assert done.returncode == 0, done.stderr
    assert "already" not in done.stderr and supervised.url in done.stdout
    assert why_held(state) is None


def test_start_that_fails_tells_what_the_log_says(commands, supervised):
    supervised.set_mode("dies")
    done = commands.run("llm-manager", "start")
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed to load model" in done.stderr


@pytest.mark.parametrize("command", ["start", "restart"])
def test_failure_tells_the_cause_and_the_remedy(commands, supervised, command):
    supervised.set_mode("ready", "--bogus")
    done = commands.run("llm-manager", command)
    assert (done.returncode, done.stdout) == (1, "")
    assert '"--bogus"' in done.stderr
    assert "server.arguments" in done.stderr


def test_causes_of_the_past_are_not_told_again(commands, supervised):
    supervised.log.parent.mkdir(exist_ok=True)
    supervised.log.write_text("error: invalid argument: --past\n")
    supervised.set_mode("dies")
    assert "server.arguments" not in commands.run("llm-manager", "start").stderr


def test_service_that_dies_at_once(commands, supervised):
    supervised.set_mode("dies-loading")
    done = commands.run("llm-manager", "start")
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed to load model" in done.stderr


def test_service_that_ends_while_it_loads_is_not_waited_for(commands, supervised):
    supervised.set_mode("loading-forever")
    supervised.service.start()
    process = commands.start("llm-manager", "start", "--timeout", "100")
    assert b"already" in process.stderr.readline()
    supervised.service.stop()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert str(supervised.log) in err.decode()


def test_service_that_has_ended_is_not_waited_for_while_a_stranger_on_its_port_is_silent():
    from llm_tools.core.base.errors import LlamaCppError
    from llm_tools.core.llama.client import LlamaServer
    from llm_tools.manager.readiness import follow_until_ready

    with ScriptedServer(SILENCE) as stranger:
        environment = types.SimpleNamespace(
            server=lambda timeout: LlamaServer(stranger.url, timeout=0.2),
            section=lambda name: {"log": "/nowhere/server.log"},
            status=lambda line: None,
        )
        ended = types.SimpleNamespace(status=lambda: {"running": False, "last_exit": 1})
        with pytest.raises(LlamaCppError, match="exit status 1"):
            follow_until_ready(environment, ended, timeout=5)


def test_model_that_takes_too_long(commands, supervised):
    supervised.set_mode("loading-forever")
    done = commands.run("llm-manager", "start", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (4, "")


def test_restart_replaces_the_process(commands, supervised):
    assert commands.run("llm-manager", "start").returncode == 0
    pid = pid_of(supervised)
    done = commands.run("llm-manager", "restart")
    assert done.returncode == 0, done.stderr
    assert pid_of(supervised) not in (None, pid)


def test_stop(commands, supervised):
    assert commands.run("llm-manager", "start").returncode == 0
    for _ in range(2):
        done = commands.run("llm-manager", "stop")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert commands.run("llm", "health").returncode == 3
