# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The watchdog beside a stand-in for llama-server under both service managers: what it does, and what it tells."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.service.converge import converge
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.job import Launchd
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog import daemon as watchdog_module
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.daemon import Watchdog, event, settings_from
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import Memory, Settings
from support.commands import TOOLS
from support.fake_server_process import FAKE, fake_server
from support.launchd_host import LaunchdHost
from support.service_plan import render
from support.supervised_server import SUPERVISORD, SupervisedServer, free_port

pytestmark = pytest.mark.processes

SETTINGS = Settings(interval=0.01, answer_seconds=0.5, looks=2, load_seconds=60, stall_seconds=0.01)
PATIENT = SETTINGS._replace(answer_seconds=10)  # for servers that answer, on however busy a machine
DEADLINE = 60


def stop(pid):
    os.kill(pid, signal.SIGSTOP)


def dog(root, service, url, settings=SETTINGS, key=None, **further):
    def connect():
        return LlamaServer(url, key, settings.answer_seconds)

    files = os.path.join(root, "watchdog.json"), os.path.join(root, "watchdog.log")
    return Watchdog(connect, lambda: service, settings, *files, **further)


def lines(root):
    """The states in the log, one a line, and that each stands behind the time."""
    with open(os.path.join(root, "watchdog.log"), encoding="utf-8") as log:
        entries = [line.split(" ", 1) for line in log]
    assert all(time[:2] == "20" and "T" in time for time, _text in entries)
    return [text.partition(":")[0] for _time, text in entries]


def look_until(watchdog, state):
    """Look again and again until the watchdog finds the server in ``state``; the deadline is only for failures."""
    assert wait_until(lambda: watchdog.look().state == state, DEADLINE, poll=0.01), watchdog.memory


def running(pid):
    """A service as far as a watchdog sees one."""
    return SimpleNamespace(status=lambda: {"pid": pid})


@pytest.fixture
def supervised():
    if SUPERVISORD is None:
        pytest.skip("supervisor is not installed here")
    with tempfile.TemporaryDirectory(prefix="sv") as root:
        server = SupervisedServer(os.path.realpath(root))
        server.service.start()
        try:
            yield server
        finally:
            server.close()


# Under a service manager


def check_that_silence_is_healed(watchdog, service, root):
    """The server is stopped, ended, started anew by its manager, and left alone from then on."""
    look_until(watchdog, "answering")
    first = service.status()["pid"]
    stop(first)
    look_until(watchdog, "restarted")
    assert wait_until(lambda: service.status()["pid"] not in (None, first), DEADLINE)
    look_until(watchdog, "answering")
    assert service.status()["pid"] != first and not processes.alive(first)
    told = [state for state in lines(root) if state not in ("loading", "down")]  # which of these are seen is chance
    assert told[-4:] == ["answering", "doubtful", "restarted", "answering"]


def test_silence_is_healed_under_supervisor(supervised):
    settings = SETTINGS._replace(answer_seconds=1)
    watchdog = dog(supervised.root, supervised.service, supervised.url, settings, key="s3cret")
    check_that_silence_is_healed(watchdog, supervised.service, supervised.root)


def test_silence_is_healed_under_launchd(tmp_path):
    port = free_port()
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    with LaunchdHost(tmp_path) as host:
        words = [sys.executable, FAKE, "--model", model, "--port", port]
        host.write_launcher(f"exec {' '.join(shlex.quote(str(word)) for word in words)}")
        host.ensure(content=host.content())
        settings = SETTINGS._replace(answer_seconds=1)
        watchdog = dog(tmp_path, host.service(), f"http://127.0.0.1:{port}", settings)
        check_that_silence_is_healed(watchdog, host.service(), tmp_path)
        assert len(host.servers()) <= 1


def test_the_job_beside_the_server_heals_it(tmp_path):
    """Nothing but what the play puts in place: both plists, the launcher, client.json."""
    port, label = free_port(), "com.llama.watchdog"
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with LaunchdHost(tmp_path) as host:
        host.write_launcher(f"exec {sys.executable} {FAKE} --model {tmp_path}/model.gguf --port {port}")
        host.ensure(content=host.content())
        tools, launcher = tmp_path / "tools", tmp_path / "service" / "llama-watchdog"
        host.plan["watchdog"] = {"name": label, "launcher": str(launcher)}
        host.plan["paths"].update(tools_dir=str(tools), client_config=str(tools / "client.json"))
        (tools / "venv" / "bin").mkdir(parents=True)
        (tools / "venv" / "bin" / "python").symlink_to(sys.executable)
        (tools / "lib").symlink_to(TOOLS)
        launcher.write_text(render("llama-watchdog.sh.j2", host.plan))
        launcher.chmod(0o755)
        service = {"manager": "launchd", "name": host.label, "definition": host.path, "domains": [host.domain]}
        settings = {"interval": 0.05, "answer_seconds": 1, "looks": 2}
        files = {"log": str(tmp_path / "watchdog.log"), "state_file": str(tmp_path / "watchdog.json")}
        config = {
            "server": {"url": f"http://127.0.0.1:{port}"},
            "service": {**service, "launchctl": host.launchctl},
            "watchdog": {**settings, **files},
        }
        (tools / "client.json").write_text(json.dumps(config))
        path = os.path.join(host.folder, label + ".plist")
        job = Launchd(label, path, host.domain, host.launchctl, settle=0.1)
        converge(job, "started", render("com.llama.watchdog.plist.j2", host.plan))

        def has_answered(times):
            return (tmp_path / "watchdog.log").exists() and lines(tmp_path).count("answering") >= times

        assert wait_until(lambda: has_answered(1), DEADLINE)
        first, watching = host.service().status()["pid"], job.status()["pid"]
        stop(first)
        assert wait_until(lambda: "restarted" in lines(tmp_path) and has_answered(2), DEADLINE)
        assert host.service().status()["pid"] not in (None, first)
        assert job.status()["pid"] == watching
        converge(job, "absent")
        assert not processes.alive(watching)


@pytest.mark.parametrize("mode", ["loading-forever", "busy", "ready"])
def test_what_is_well_keeps_its_process(supervised, mode):
    supervised.set_mode(mode)
    supervised.service.restart()
    watchdog = dog(supervised.root, supervised.service, supervised.url, PATIENT, key="s3cret")
    look_until(watchdog, "loading" if mode == "loading-forever" else "answering")
    pid = supervised.service.status()["pid"]
    for _ in range(20):
        watchdog.look()
    assert supervised.service.status()["pid"] == pid
    assert "restarted" not in lines(supervised.root)


def test_a_stopped_service_is_not_started(supervised):
    supervised.service.stop()
    watchdog = dog(supervised.root, supervised.service, supervised.url, key="s3cret")
    for _ in range(5):
        assert watchdog.look().state == "down"
    assert lines(supervised.root) == ["down"]


# What it does


@pytest.fixture
def sleeper():
    """Starts processes that do nothing, each in a group of its own."""
    children = []

    def start(*command):
        child = subprocess.Popen(command or ["/bin/sleep", "600"], start_new_session=True, stdout=subprocess.PIPE)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_process_that_was_replaced_meanwhile_is_not_killed(tmp_path, sleeper):
    """Neither it nor its successor, which has given no cause."""
    first, second = sleeper(), sleeper()
    with fake_server(tmp_path, "wedged") as url:
        pids = iter([first.pid] * SETTINGS.looks + [second.pid])  # one question a look, and one before the end
        service = SimpleNamespace(status=lambda: {"pid": next(pids)})
        watchdog = dog(tmp_path, service, url)
        look_until(watchdog, "restarted")
    assert first.poll() is None and second.poll() is None
    assert "has ended meanwhile" in (tmp_path / "watchdog.log").read_text()


def test_what_the_process_started_goes_with_it(tmp_path, sleeper):
    """As when a runner stands between the manager and the server."""
    runner = sleeper("/bin/sh", "-c", "/bin/sleep 600 & echo $!; wait")
    child = int(runner.stdout.readline())
    with fake_server(tmp_path, "wedged") as url:
        look_until(dog(tmp_path, running(runner.pid), url), "restarted")
    assert runner.wait(DEADLINE) == -signal.SIGKILL
    assert wait_until(lambda: not processes.alive(child), DEADLINE)


def test_a_process_that_cannot_be_ended_is_told_of_and_not_tried_all_the_time(tmp_path, sleeper, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", refuse)
    monkeypatch.setattr(watchdog_module, "END_SECONDS", 0)
    settings = SETTINGS._replace(interval=600)
    with fake_server(tmp_path, "wedged") as url:
        watchdog = dog(tmp_path, running(sleeper().pid), url, settings)
        for state in ("doubtful", "restarted", "held", "held"):
            assert watchdog.look().state == state
    log = (tmp_path / "watchdog.log").read_text()
    assert "cannot be ended (Operation not permitted)" in log
    assert "llm-manager restart" in log
    assert lines(tmp_path) == ["doubtful", "restarted", "held"]


def test_an_event_is_told_once(tmp_path, sleeper):
    with fake_server(tmp_path) as url:
        watchdog = dog(tmp_path, running(sleeper().pid), url, PATIENT)
        for _ in range(10):
            watchdog.look()
    assert lines(tmp_path) == ["answering"]


def test_what_cannot_be_asked_is_told(tmp_path):
    def connect():
        raise LlamaCppError("The API key file /k cannot be read:\nPermission denied.")

    files = str(tmp_path / "state"), str(tmp_path / "watchdog.log")
    watchdog = Watchdog(connect, lambda: running(None), SETTINGS, *files)
    assert watchdog.look().state == "unclear"
    assert "The API key file /k cannot be read: Permission denied" in (tmp_path / "watchdog.log").read_text()


def test_a_service_that_holds_still_is_left_alone_and_told_of_once(tmp_path, sleeper):
    """Whatever its process does: the runner stays for a moment after it has given up on its server."""
    why = ["the server ended 5 times in a row"]
    process = sleeper()
    with fake_server(tmp_path, "wedged") as url:
        watchdog = dog(tmp_path, running(process.pid), url, why_given_up=lambda: why[0])
        assert {watchdog.look().state for _ in range(5)} == {"given up"}
        why[0] = None
        look_until(watchdog, "restarted")
    assert lines(tmp_path)[0] == "given up" and lines(tmp_path).count("given up") == 1
    log = (tmp_path / "watchdog.log").read_text()
    assert "5 times in a row" in log and "llm-manager start" in log


def test_a_manager_that_cannot_be_asked_is_no_reason_to_act(tmp_path):
    def status():
        raise LlamaCppError("launchd seems to hang")

    with fake_server(tmp_path, "wedged") as url:
        watchdog = dog(tmp_path, SimpleNamespace(status=status), url)
        for _ in range(5):
            assert watchdog.look().state == "doubtful"


# What it remembers


def test_it_goes_on_where_the_one_before_ended(tmp_path, sleeper):
    child = sleeper()
    settings = SETTINGS._replace(looks=3)
    with fake_server(tmp_path, "wedged") as url:
        states = [dog(tmp_path, running(child.pid), url, settings).look().state for _ in range(3)]
    assert states == ["doubtful", "doubtful", "restarted"]
    assert child.wait(DEADLINE) == -signal.SIGKILL
    assert len(json.loads((tmp_path / "watchdog.json").read_text())["restarts"]) == 1


@pytest.mark.parametrize("text", ["", "[]", "{", '{"work": 5}', '{"restarts": ["x"]}', '{"from": "the future"}'])
def test_a_damaged_memory_is_a_fresh_one(tmp_path, text):
    (tmp_path / "watchdog.json").write_text(text)
    assert dog(tmp_path, running(None), "http://127.0.0.1:1").memory == Memory()


def test_a_state_that_cannot_be_written_is_no_hindrance(tmp_path, sleeper):
    child = sleeper()
    with fake_server(tmp_path, "wedged") as url:
        watchdog = Watchdog(
            lambda: LlamaServer(url, timeout=SETTINGS.answer_seconds),
            lambda: running(child.pid),
            SETTINGS,
            str(tmp_path / "missing" / "state.json"),
            str(tmp_path / "missing" / "watchdog.log"),
        )
        look_until(watchdog, "restarted")
    assert child.wait(DEADLINE) == -signal.SIGKILL


# Settings and words


def test_settings_are_as_shipped_unless_given():
    section = {"interval": 5, "looks": None, "idle_unload_seconds": 600, "log": "/l", "state_file": "/s"}
    assert settings_from(section) == Settings(interval=5, idle_unload_seconds=600)


@pytest.mark.parametrize("value", [0, -1, "60", True, [1]])
def test_a_setting_that_cannot_be_used_is_named(value):
    with pytest.raises(LlamaCppError, match=r"watchdog\.interval"):
        settings_from({"interval": value})
    with pytest.raises(LlamaCppError, match=r"watchdog\.looks"):
        settings_from({"interval": 0.5, "looks": 2.5})


@pytest.mark.parametrize("state", ["answering", "loading", "sleeping", "down", "unclear", "doubtful", "restarted"])
def test_an_event_is_one_line(state):
    text = event(Memory(state=state, reason="one\n two", alive=1.0), Settings(), "done")
    assert text.startswith(state + ": ") and "one two" in text and "done" in text and "\n" not in text
