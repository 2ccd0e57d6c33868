# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""supervisord as a service manager, tried with a real supervisord."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.service.converge import converge
from ansible_collections.macos_setup.llm.plugins.module_utils.service.description import open_service
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor import program, rpc
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.program import Supervisor
from support.service_plan import change, render, service_plan, write_launcher
from support.supervised_server import SUPERVISORD

FOREVER = 'echo "started as $$"; exec sleep 600'

pytestmark = [pytest.mark.processes, pytest.mark.skipif(SUPERVISORD is None, reason="supervisor is not installed here")]


class Host:
    """A directory with one supervised program, the length of one test; a socket's path must be short."""

    def __init__(self, root):
        self.root = root
        self.plan = service_plan(root)
        self.config = os.path.join(root, "supervisord.conf")
        self.write_launcher(FOREVER)

    def write_launcher(self, script):
        write_launcher(self.plan, script)

    def content(self, **service):
        change(self.plan, **service)
        return render("supervisord.conf.j2", self.plan)

    def service(self, settle=0.3):
        return Supervisor("llama-server", self.config, SUPERVISORD, settle=settle)

    def ensure(self, state="started", content=None, **options):
        return converge(self.service(), state, content, **options)

    def servers(self):
        """The pids of every process that a supervisord on our socket has started."""
        url = "unix://" + self.plan["service"]["socket"]
        return [p.pid for p in processes.find(lambda p: p.has_environment("SUPERVISOR_SERVER_URL", url))]

    def daemons(self):
        return [p.pid for p in processes.find(lambda p: p.has_arguments("-c", self.config))]

    def close(self):
        processes.end(self.daemons() + self.servers(), patience=0)


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="sv") as root:
        host = Host(os.path.realpath(root))
        yield host
        host.close()
        assert wait_until(lambda: not host.daemons() and not host.servers(), 10)


def test_a_bare_host_gets_a_running_service(host):
    result = host.ensure(content=host.content())
    assert result["changed"] and result["state"] == {"before": "absent", "after": "running"}
    assert host.servers() == [result["pid"]]
    log = Path(host.plan["service"]["output_file"]).read_text()
    assert log == "started as %d\n" % result["pid"]


def test_what_stands_in_its_path_is_never_executed(host, tmp_path):
    script = environment_in(tmp_path / "a b $(touch pwned) c'd`touch pwned`") / "bin" / "supervisord"
    service = Supervisor("llama-server", host.config, str(script), settle=0)
    assert converge(service, "started", host.content())["state"]["after"] == "running"
    assert len(service._daemons()) == 1
    told = shlex.split(service._failure(service._config()).rpartition("To see more: ")[2])
    said = subprocess.run(told, capture_output=True, text=True, cwd=tmp_path, check=False).stdout
    assert said.startswith("llama-server ")
    service.clear()
    assert not list(tmp_path.rglob("pwned")) and not os.path.exists("/pwned")


def environment_in(directory):
    """A virtual environment in ``directory`` that has the packages of this one, and supervisord's console script."""
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    (directory / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", directory)
    script = directory / "bin" / "supervisord"
    # As pip writes it where the path is long or holds a blank (distlib/scripts.py).
    shebang = """#!/bin/sh\n'''exec' "%s" "$0" "$@"\n' '''\n""" % (directory / "bin" / "python")
    script.write_text(shebang + "from supervisor.supervisord import main\nmain()\n")
    script.chmod(0o755)
    return directory


@pytest.mark.parametrize("kind", ["writable by others", "a link"])
def test_a_directory_that_somebody_else_prepared_for_the_socket_is_refused(host, kind):
    """Below /tmp its name is known to everybody, and what answers there tells which processes are to be ended."""
    Path(host.config).write_text(host.content())
    run = Path(host.plan["service"]["socket"]).parent
    if kind == "a link":
        run.rename(Path(host.root) / "elsewhere")
        run.symlink_to("elsewhere")
    else:
        run.chmod(0o777)
    for act in (host.service().status, host.service().start, host.service().clear):
        with pytest.raises(LlamaCppError, match=f"{run} (is a link|can be written by others)"):
            act()


def test_an_unchanged_service_is_never_restarted(host):
    first = host.ensure(content=host.content())
    second = host.ensure(content=host.content())
    assert not second["changed"] and second["pid"] == first["pid"] and second["diff"] == []


@pytest.mark.parametrize("change", [{"fingerprint": "f" * 64}, {"stop_seconds": 6}])
def test_a_changed_configuration_restarts_exactly_once(host, change):
    first = host.ensure(content=host.content())
    second = host.ensure(content=host.content(**change))
    third = host.ensure(content=host.content())
    assert second["changed"] and second["pid"] != first["pid"]
    assert not third["changed"] and third["pid"] == second["pid"]
    assert Path(host.plan["service"]["output_file"]).read_text().count("started as") == 2


def test_a_moved_socket_leaves_no_supervisord_behind(host):
    first = host.ensure(content=host.content())
    old = host.servers()
    second = host.ensure(content=host.content(socket=os.path.join(host.root, "run", "moved.sock")))
    assert second["pid"] != first["pid"] and not any(processes.alive(pid) for pid in old)
    assert len(host.daemons()) == 1


def test_a_play_killed_after_writing_the_file_is_completed_with_one_restart(host):
    first = host.ensure(content=host.content())
    content = host.content(fingerprint="f" * 64)
    Path(host.config).write_text(content)
    second = host.ensure(content=content)
    assert second["changed"] and second["pid"] != first["pid"]
    assert not host.ensure(content=content)["changed"]


def test_a_play_killed_before_the_proof_is_completed_without_a_restart(host):
    host.ensure(content=host.content())
    content = host.content(fingerprint="f" * 64)
    service = host.service()
    service.clear()
    service.definition.prepare(content)
    service.definition.commit()
    service.start()
    running = service.status()["pid"]
    result = host.ensure(content=content)
    assert result["pid"] == running and not result["changed"]
    assert not service.definition.pending()


def test_a_configuration_that_cannot_run_gives_way_to_the_previous_one(host):
    good = host.content()
    host.ensure(content=good)
    bad = host.content(launcher=os.path.join(host.root, "service", "missing.sh"))
    with pytest.raises(LlamaCppError, match="put back and runs again"):
        host.ensure(content=bad)
    assert Path(host.config).read_text() == good
    assert host.service().status()["running"] and len(host.servers()) == 1
    assert not host.service().definition.pending()


def test_a_first_configuration_that_cannot_run_leaves_nothing(host):
    host.write_launcher('echo "error: no such model"; exit 3')
    with pytest.raises(LlamaCppError) as failure:
        host.ensure(content=host.content())
    assert "no such model" in str(failure.value) and "last exit: 3" in str(failure.value)
    assert not os.path.exists(host.config) and not host.daemons()


def test_a_program_that_dies_within_the_settle_time_is_a_failure(host):
    host.write_launcher('echo "out of memory"; sleep 0.5; kill -9 $$')
    content = host.content(throttle_seconds=0)
    with pytest.raises(LlamaCppError, match="out of memory"):
        converge(host.service(settle=20), "started", content)


def test_killed_it_comes_back(host):
    pid = host.ensure(content=host.content())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: host.service().status()["pid"] not in (pid, None), 15)
    assert host.service().status()["last_exit"] == -9


def test_stopped_it_stays_stopped(host):
    pid = host.ensure(content=host.content())["pid"]
    result = host.ensure("stopped")
    assert result["changed"] and result["state"]["after"] == "stopped" and not processes.alive(pid)
    assert not host.ensure("stopped")["changed"]
    assert host.service().status() == {
        "installed": True,
        "running": False,
        "pid": None,
        "state": "STOPPED",
        "last_exit": -15,
    }


def test_a_stopped_service_takes_a_new_configuration_without_running(host):
    host.ensure(content=host.content())
    host.ensure("stopped")
    result = host.ensure("stopped", content=host.content(stop_seconds=7))
    assert result["changed"] and not host.servers()
    assert host.ensure("started")["state"] == {"before": "stopped", "after": "running"}


def test_a_program_that_ignores_sigterm_is_stopped_all_the_same(host):
    host.write_launcher("trap '' TERM; while :; do sleep 1; done")
    host.ensure(content=host.content(stop_seconds=1))
    assert host.ensure("stopped")["state"]["after"] == "stopped"
    assert not host.servers()


def test_restarted_restarts_each_time(host):
    first = host.ensure(content=host.content())
    second = host.ensure("restarted", content=host.content())
    assert second["changed"] and second["pid"] != first["pid"]


def test_a_restart_together_with_a_change_is_one_restart(host):
    host.ensure(content=host.content())
    host.ensure("restarted", content=host.content(stop_seconds=7))
    assert Path(host.plan["service"]["output_file"]).read_text().count("started as") == 2


def test_without_automatic_start_it_runs_when_asked_for(host):
    result = host.ensure(content=host.content(auto_start=False))
    assert result["state"]["after"] == "running"


def test_absent_leaves_nothing(host):
    host.ensure(content=host.content())
    result = host.ensure("absent")
    assert result["changed"] and result["state"] == {"before": "running", "after": "absent"}
    assert not host.daemons() and not host.servers()
    assert not os.path.exists(host.config) and os.listdir(host.plan["service"]["run_dir"]) == []
    assert not host.ensure("absent")["changed"]


def test_check_mode_on_a_bare_host_tells_the_plan_and_does_nothing(host):
    before = sorted(os.listdir(host.root))
    result = host.ensure(content=host.content(), check=True)
    assert result["changed"] and result["state"] == {"before": "absent", "after": "running"}
    assert "+" not in result["diff"][0]["before"] and "[program:llama-server]" in result["diff"][0]["after"]
    assert sorted(os.listdir(host.root)) == before and not host.daemons()


def test_check_mode_on_a_running_host_touches_nothing(host):
    pid = host.ensure(content=host.content())["pid"]
    assert not host.ensure(content=host.content(), check=True)["changed"]
    for state in ("stopped", "restarted", "absent"):
        assert host.ensure(state, check=True)["changed"]
    assert host.ensure(content=host.content(stop_seconds=9), check=True)["changed"]
    assert host.servers() == [pid] and not host.ensure(content=host.content(stop_seconds=5))["changed"]


def test_a_server_that_outlived_its_supervisord_is_ended_before_the_new_one_starts(host):
    orphan = host.ensure(content=host.content())["pid"]
    for pid in host.daemons():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not host.daemons(), 10)
    assert processes.alive(orphan) and not host.service().status()["running"]
    result = host.ensure(content=host.content())
    assert result["changed"] and not processes.alive(orphan) and host.servers() == [result["pid"]]


def test_a_second_server_beside_the_supervised_one_is_ended(host):
    orphan = host.ensure(content=host.content())["pid"]
    for pid in host.daemons():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not host.daemons(), 10)
    os.spawnv(os.P_WAIT, SUPERVISORD, [SUPERVISORD, "-c", host.config])
    assert wait_until(lambda: len(host.servers()) == 2, 10)
    result = host.ensure(content=host.content())
    assert result["changed"] and not processes.alive(orphan) and host.servers() == [result["pid"]]


def test_an_orphan_is_stopped_too(host):
    host.ensure(content=host.content())
    for pid in host.daemons():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not host.daemons(), 10)
    assert host.ensure("stopped")["changed"] and not host.servers()


def test_a_supervisord_that_lost_its_socket_is_replaced(host):
    first = host.ensure(content=host.content())
    os.unlink(host.plan["service"]["socket"])
    second = host.ensure(content=host.content())
    assert second["pid"] != first["pid"] and host.servers() == [second["pid"]] and len(host.daemons()) == 1


def test_a_supervisord_that_listens_but_is_silent_is_replaced(host, monkeypatch):
    monkeypatch.setattr(rpc, "TIMEOUT_SECONDS", 1)
    monkeypatch.setattr(program, "GRACE_SECONDS", 2)
    first = host.ensure(content=host.content(stop_seconds=1))
    for pid in host.daemons():
        os.kill(pid, signal.SIGSTOP)
    second = host.ensure(content=host.content())
    assert second["pid"] != first["pid"] and host.servers() == [second["pid"]] and len(host.daemons()) == 1


def test_stale_files_of_a_dead_supervisord_do_not_hinder(host):
    host.ensure(content=host.content())
    for pid in host.daemons() + host.servers():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not host.daemons() and not host.servers(), 10)
    assert os.path.exists(host.plan["service"]["socket"]) and os.path.exists(host.plan["service"]["pid_file"])
    assert host.ensure(content=host.content())["state"]["after"] == "running"


def test_a_broken_file_is_refused_before_anything_is_touched(host):
    pid = host.ensure(content=host.content())["pid"]
    text = Path(host.config).read_text()
    for broken in ("no sections", text.replace("file=/", "file="), text.replace("[supervisord]", "[other]")):
        with pytest.raises(LlamaCppError):
            host.ensure(content=broken)
    assert host.servers() == [pid] and Path(host.config).read_text() == text


def test_a_socket_path_that_no_system_allows_is_refused(host):
    with pytest.raises(LlamaCppError, match="shorter"):
        host.ensure(content=host.content(socket=os.path.join(host.root, "s" * 100)))


def test_a_missing_supervisord_is_named(host):
    service = Supervisor("llama-server", host.config, os.path.join(host.root, "no", "supervisord"), settle=0)
    with pytest.raises(LlamaCppError, match="no/supervisord"):
        converge(service, "started", host.content())
    assert not os.path.exists(host.config)


def test_settings_of_whoever_runs_the_play_do_not_reach_the_server(host, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_PORT", "1")
    host.write_launcher("env; exec sleep 600")
    host.ensure(content=host.content())
    log = Path(host.plan["service"]["output_file"]).read_text()
    assert "LLAMA_ARG" not in log and "LLAMA_CPP_SERVICE_FINGERPRINT=" + "0123456789abcdef" * 4 in log


def test_the_commands_see_the_same_service(host):
    host.ensure(content=host.content())
    service = open_service(
        {
            "manager": "supervisor",
            "name": "com.llama.server",
            "program": "llama-server",
            "definition": host.config,
            "supervisord": SUPERVISORD,
            "log": host.plan["service"]["output_file"],
        }
    )
    before = service.status()["pid"]
    service.start()
    assert service.status()["pid"] == before
    service.restart()
    assert service.status()["running"] and service.status()["pid"] != before
    service.stop()
    assert not service.status()["running"]


def test_a_service_that_is_not_installed_says_so(host):
    with pytest.raises(LlamaCppError, match="not installed"):
        host.service().start()
    assert host.service().status()["state"] == "absent"


def test_no_answer_is_told_from_a_refusal(host):
    with pytest.raises(rpc.NoAnswer):
        rpc.call(os.path.join(host.root, "nobody"), "getState")
    host.ensure(content=host.content())
    with pytest.raises(rpc.Fault):
        rpc.call(host.plan["service"]["socket"], "getProcessInfo", "other")


def test_an_unknown_manager_is_refused():
    with pytest.raises(LlamaCppError, match="systemd"):
        open_service({"manager": "systemd"})
