# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager watchdog``: a single look, and the loop that a service manager runs."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until

pytestmark = pytest.mark.processes

DEADLINE = 60


@pytest.fixture
def section(commands, tmp_path):
    """The part ``watchdog`` of client.json."""
    commands.config["service"] = {
        "manager": "supervisor",
        "program": "llama-server",
        "definition": str(tmp_path / "supervisord.conf"),
        "supervisord": "/nowhere/supervisord",
    }
    commands.config["watchdog"] = {
        "interval": 0.05,
        "answer_seconds": 10,
        "log": str(tmp_path / "watchdog.log"),
        "state_file": str(tmp_path / "watchdog.json"),
    }
    return commands.config["watchdog"]


@pytest.fixture
def loop(commands, section):
    """Starts the loop and waits for its first look."""
    started = []

    def start():
        process = commands.start("llm-manager", "watchdog")
        started.append(process)
        assert wait_until(lambda: os.path.exists(section["state_file"]), DEADLINE)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def state(section):
    return json.loads(Path(section["state_file"]).read_text(encoding="utf-8"))["state"]


def log(section):
    return Path(section["log"]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("mode", "word", "code"),
    [
        ("ready", "answering", 0),
        ("sleeping", "sleeping", 0),
        ("busy", "answering", 0),
        ("loading-forever", "loading", 4),
        ("no-slots", "unclear", 1),
    ],
)
def test_a_single_look_is_told_and_said_by_the_exit_status(commands, section, serve, mode, word, code):
    section["answer_seconds"] = 1 if mode == "no-slots" else 10
    with serve(mode):
        done = commands.run("llm-manager", "watchdog", "--once")
        assert (done.returncode, done.stdout.partition(":")[0]) == (code, word), done.stderr
    assert f" {word}: " in log(section)


def test_a_server_that_is_down(commands, section):
    done = commands.run("llm-manager", "watchdog", "--once", "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (3, "down"), done.stderr


def test_a_service_that_holds_still(commands, section, tmp_path):
    state = tmp_path / "runner.json"
    state.write_text(json.dumps({"held": True, "why": "it ended 5 times in a row", "exits": [], "child": None}))
    commands.config["service"]["state_file"] = str(state)
    done = commands.run("llm-manager", "watchdog", "--once")
    assert (done.returncode, done.stdout.partition(":")[0]) == (3, "given up"), done.stderr
    assert "it ended 5 times in a row" in done.stdout


def test_without_a_usable_key_it_says_why(commands, section, tmp_path):
    (tmp_path / "key").write_text("# none\n")
    commands.config["server"]["api_key_file"] = str(tmp_path / "key")
    done = commands.run("llm-manager", "watchdog", "--once")
    assert done.stdout.startswith("unclear: ") and f"{tmp_path / 'key'} holds no key" in done.stdout


def test_a_server_that_hears_nobody_but_works(commands, section, tmp_path):
    log = tmp_path / "server.log"
    log.write_text("T 0.03.129.345 I slot print_timing: id  0 | task 0 | n_gen =   3224, tg = 1073.82 t/s\n")
    commands.config["service"]["log"] = str(log)
    section["answer_seconds"] = 0.1
    with socket.create_server(("127.0.0.1", 0)) as listener:  # which is busy with others
        commands.config["server"]["url"] = "http://127.0.0.1:%d" % listener.getsockname()[1]
        done = commands.run("llm-manager", "watchdog", "--once")
    assert (done.returncode, done.stdout.partition(":")[0]) == (1, "deaf"), done.stderr


def test_without_a_configuration(commands, section):
    del commands.config["watchdog"]
    assert commands.run("llm-manager", "watchdog").returncode == 2


def test_a_number_that_cannot_be_used(commands, section):
    section["looks"] = "three"
    done = commands.run("llm-manager", "watchdog", "--once")
    assert done.returncode == 2
    assert "watchdog.looks" in done.stderr


def test_the_loop_heals(commands, section, supervised):
    """Without anybody's help: the server is stopped, and answers again."""
    section.update(answer_seconds=1, looks=2)
    supervised.service.start()
    process = commands.start("llm-manager", "watchdog")
    try:
        assert wait_until(lambda: os.path.exists(section["state_file"]) and state(section) == "answering", DEADLINE)
        pid = supervised.service.status()["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert wait_until(lambda: " restarted: " in log(section), DEADLINE)
        assert wait_until(lambda: state(section) == "answering", DEADLINE)
        assert supervised.service.status()["pid"] != pid
    finally:
        process.kill()
        process.communicate()


def test_the_loop_ends_when_its_configuration_changes(commands, section, served, loop):
    process = loop()
    section["interval"] = 0.06
    commands.run("llm", "health")  # writes the configuration
    assert process.wait(DEADLINE) == 0
    assert "changed" in process.stderr.read().decode()


def test_the_loop_ends_with_whoever_started_it(commands, section, served, tmp_path):
    """As when supervisord was killed: another one starts a watchdog of its own."""
    starter = tmp_path / "starter"
    starter.write_text(f'#!/bin/sh\n"{sys.executable}" "$@" &\necho $!\nread -r _\n')
    starter.chmod(0o755)
    commands.python = str(starter)
    shell = commands.start("llm-manager", "watchdog", stdin=subprocess.PIPE)
    pid = int(shell.stdout.readline())
    try:
        assert wait_until(lambda: os.path.exists(section["state_file"]), DEADLINE)
        assert processes.alive(pid)
        shell.communicate(b"\n", timeout=DEADLINE)
        assert wait_until(lambda: not processes.alive(pid), DEADLINE)
    finally:
        if processes.alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_the_loop_ends_at_once_when_it_is_asked_to(commands, section, served, loop):
    section["interval"] = 3600
    process = loop()
    process.terminate()
    assert process.wait(DEADLINE) == -signal.SIGTERM
