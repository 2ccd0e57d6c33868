# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The story of a launchd job, told on a simulated Mac with real processes."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.service.description import open_service
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd import job as launchd
from support.launchd_host import UID, LaunchdHost

pytestmark = pytest.mark.processes

as_root = pytest.mark.skipif(UID != 0, reason="the domain system belongs to root")


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="launchd ") as directory, LaunchdHost(os.path.realpath(directory)) as host:
        yield host


@pytest.fixture(params=["gui", "user", pytest.param("system", marks=as_root)])
def host_in(request):
    domain = request.param if request.param == "system" else "%s/%d" % (request.param, UID)
    with tempfile.TemporaryDirectory() as directory, LaunchdHost(os.path.realpath(directory), domain) as host:
        yield host


def test_a_bare_host_gets_a_running_job_in_every_domain(host_in):
    result = host_in.ensure(content=host_in.content())
    assert result["changed"] and result["state"] == {"before": "absent", "after": "running"}
    assert host_in.servers() == [result["pid"]]
    assert host_in.verbs() == ["enable", "bootstrap"]
    assert os.stat(host_in.path).st_mode & 0o7777 == 0o644


def test_an_unchanged_job_is_never_restarted(host_in):
    first = host_in.ensure(content=host_in.content())
    second = host_in.ensure(content=host_in.content())
    assert not second["changed"] and second["pid"] == first["pid"] and second["diff"] == []
    assert host_in.verbs() == ["enable", "bootstrap"]


def test_a_changed_plist_restarts_exactly_once(host):
    host.ensure(content=host.content())
    result = host.ensure(content=host.content(fingerprint="f" * 64))
    assert result["changed"] and host.starts() == 2 and len(host.servers()) == 1
    assert host.verbs() == ["enable", "bootstrap", "bootout", "enable", "bootstrap"]
    assert not host.ensure(content=host.content())["changed"]


def test_a_label_that_is_slow_to_be_free_is_waited_for(host):
    host.ensure(content=host.content())
    host.set(drain_seconds=0.7, bootout_code=36)
    result = host.ensure(content=host.content(stop_seconds=3))
    assert result["state"]["after"] == "running" and host.verbs().count("bootstrap") == 2


@pytest.mark.parametrize("busy", [5, 36, 37])
def test_a_label_that_is_not_free_although_print_says_so_is_tried_again(host, busy, monkeypatch):
    monkeypatch.setattr(launchd, "RETRY_SECONDS", 0.05)
    host.fail("bootstrap", busy, busy)
    assert host.ensure(content=host.content())["state"]["after"] == "running"
    assert host.verbs().count("bootstrap") == 3


def test_a_label_that_is_never_free_is_given_up_with_its_code(host, monkeypatch):
    monkeypatch.setattr(launchd, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(launchd, "DRAIN_SECONDS", 0.3)
    host.fail("bootstrap", *[37] * 50)
    with pytest.raises(LlamaCppError, match="error 37, Operation already"):
        host.ensure(content=host.content())


def test_a_stubborn_server_is_killed_before_the_new_one_starts(host):
    host.write_launcher("trap '' TERM; while :; do sleep 0.1; done")
    old = host.ensure(content=host.content(stop_seconds=1))["pid"]
    result = host.ensure(content=host.content(fingerprint="a" * 64))
    assert not processes.alive(old) and host.servers().count(result["pid"]) == 1


def test_killed_it_comes_back(host):
    pid = host.ensure(content=host.content())["pid"]
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: host.service().status()["pid"] not in (pid, None), 10)
    assert host.service().status()["last_exit"] == -9


@pytest.mark.parametrize("end", ["exit 139", "exit 1", "kill -SEGV $$", "kill -KILL $$"])
def test_every_end_but_a_deliberate_one_is_answered_with_a_start(host, end):
    """The runner of the server ends with 128 and the signal's number where the server crashed: no crash to launchd."""
    go = os.path.join(host.root, "go")
    host.write_launcher(
        'echo "started as $$"; test -e "$HOME/once" && exec sleep 600; touch "$HOME/once"\n'
        "until test -e '%s'; do sleep 0.05; done; %s" % (go, end)
    )
    assert host.ensure(content=host.content(), settle=0)["state"]["after"] == "running"
    with open(go, "w", encoding="utf-8"):
        pass
    assert wait_until(lambda: host.starts() == 2 and len(host.servers()) == 1, 10)


def test_a_deliberate_sigterm_is_respected(host):
    host.write_launcher("trap 'exit 0' TERM; while :; do sleep 0.05; done")
    pid = host.ensure(content=host.content())["pid"]
    os.kill(pid, signal.SIGTERM)
    assert wait_until(lambda: host.service().status()["state"] == "not running", 10)
    result = host.ensure(content=host.content())
    assert result["changed"] and result["step"] == "start" and host.verbs()[-1] == "kickstart"


SLOW_TO_END = "trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done"


@pytest.mark.parametrize("state", ["started", "restarted"])
def test_a_job_that_is_ending_does_not_pass_for_a_running_one(host, state):
    """bootout does not wait for the end, and until then the job is shown, with its process."""
    host.write_launcher(SLOW_TO_END)
    pid = host.ensure(content=host.content())["pid"]
    assert host.run("bootout", host.target)[0] == 0
    result = host.ensure(state, content=host.content())
    assert result["changed"] and result["pid"] != pid and not processes.alive(pid)
    assert host.service().status()["pid"] == result["pid"]


def test_a_job_that_is_unloaded_while_it_is_started_is_loaded_anew(host):
    pid = host.ensure(content=host.content())["pid"]
    host.set(drain_seconds=0.5)
    host.run("bootout", host.target)
    assert wait_until(lambda: not processes.alive(pid), 10, 0.01)
    host.service().start()
    assert host.servers() == [host.service().status()["pid"]]


def test_stopped_it_stays_stopped(host):
    pid = host.ensure(content=host.content())["pid"]
    result = host.ensure("stopped")
    assert result["changed"] and result["state"]["after"] == "stopped" and not processes.alive(pid)
    assert not host.ensure("stopped")["changed"]
    assert host.service().status()["state"] == "not loaded"


def test_a_stopped_job_takes_a_new_plist_without_running(host):
    host.ensure(content=host.content())
    host.ensure("stopped")
    assert host.ensure("stopped", content=host.content(stop_seconds=7))["changed"]
    assert host.servers() == [] and host.ensure()["state"] == {"before": "stopped", "after": "running"}


def test_restarted_restarts_each_time_and_a_change_with_it_is_one_restart(host):
    first = host.ensure(content=host.content())
    assert host.ensure("restarted", content=host.content())["pid"] != first["pid"]
    host.ensure("restarted", content=host.content(stop_seconds=7))
    assert host.starts() == 3


def test_absent_leaves_nothing(host):
    host.ensure(content=host.content())
    assert host.ensure("absent")["state"] == {"before": "running", "after": "absent"}
    assert os.listdir(host.folder) == [] and host.servers() == [] and not host.ensure("absent")["changed"]


def test_a_job_whose_plist_is_gone_is_removed_all_the_same(host):
    host.ensure(content=host.content())
    os.unlink(host.path)
    assert host.ensure("absent")["changed"] and host.servers() == []


def test_a_job_loaded_from_another_file_is_replaced(host):
    other = os.path.join(host.root, "elsewhere", os.path.basename(host.path))
    os.makedirs(os.path.dirname(other))
    Path(other).write_text(host.content())
    assert host.run("bootstrap", host.domain, other)[0] == 0
    old = host.servers()
    result = host.ensure(content=host.content())
    assert result["changed"] and [result["pid"]] == host.servers() != old


def test_paths_that_launchctl_may_show_otherwise_cause_no_restart(tmp_path):
    directory = tmp_path / "ünïcödé 模型"
    directory.mkdir()
    with LaunchdHost(directory) as host:
        first = host.ensure(content=host.content())
        service = host.service()
        shown = service.launchctl.job(host.target)
        escaped = shown._replace(path="?", arguments=["?"], environment={"HOME": "?"})
        service.launchctl.job = lambda _target: escaped
        assert not service.drifted() and first["pid"]
        other = escaped._replace(environment={"LLAMA_CPP_SERVICE_FINGERPRINT": "f" * 64})
        service.launchctl.job = lambda _target: other
        assert service.drifted()


def test_the_same_label_in_another_domain_is_not_doubled(host):
    os.makedirs(host.folder)
    Path(host.path).write_text(host.content(domain="user/%d" % UID))
    assert host.run("bootstrap", "user/%d" % UID, host.path)[0] == 0
    with pytest.raises(LlamaCppError, match="bootout user/%d/com.llama.server" % UID):
        host.ensure(content=host.content(domain=host.domain))
    assert len(host.servers()) == 1


# -- enabled -------------------------------------------------------------------------------------------------------


def disabled(host):
    return '"%s" => disabled' % host.label in host.run("print-disabled", host.domain)[1]


def test_a_disabled_label_is_allowed_again_by_starting_it(host):
    host.run("disable", host.target)
    assert host.ensure(content=host.content())["state"]["after"] == "running" and not disabled(host)


def test_enabled_false_runs_now_and_not_after_the_next_login(host):
    result = host.ensure(content=host.content(), enabled=False)
    assert result["state"]["after"] == "running" and disabled(host)
    assert not host.ensure(content=host.content(), enabled=False)["changed"]
    host.reboot()
    host.login(UID)
    assert host.servers() == []
    assert host.ensure(content=host.content(), enabled=True)["changed"] and not disabled(host)


def test_enabled_alone_is_a_change_without_a_restart(host):
    first = host.ensure(content=host.content())
    result = host.ensure(content=host.content(), enabled=False)
    assert result["changed"] and result["pid"] == first["pid"] and disabled(host)
    assert [entry["after"] for entry in result["diff"]] == ["no\n"]
    assert host.ensure("stopped", enabled=True)["changed"] and not disabled(host)


def test_a_job_that_does_not_start_when_loaded_is_started(host):
    assert host.ensure(content=host.quiet_content())["state"]["after"] == "running"
    assert host.verbs() == ["enable", "bootstrap", "kickstart"]


def test_without_automatic_start_it_runs_when_asked_for_and_only_then(host_in):
    """What the role does with auto_start false, and what llm-manager does then."""
    content = host_in.content(auto_start=False)
    assert host_in.ensure("stopped", content=content, enabled=False)["state"]["after"] == "stopped"
    assert not host_in.ensure("stopped", content=content, enabled=False)["changed"]

    def boot():
        host_in.reboot()
        (host_in.background_login if host_in.domain.startswith("user/") else host_in.login)(UID)

    boot()
    assert host_in.servers() == []
    host_in.service(enabled=False).start()
    (pid,) = host_in.servers()
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: host_in.service().status()["pid"] not in (pid, None), 10), "kept alive all the same"
    boot()
    assert host_in.servers() == []


# -- check mode ----------------------------------------------------------------------------------------------------


def test_check_mode_on_a_host_without_launchctl_tells_the_plan(tmp_path):
    host = LaunchdHost(tmp_path)  # never switched on
    result = host.ensure(content=host.content(), check=True, enabled=True)
    assert result["changed"] and result["state"] == {"before": "absent", "after": "running"} and result["pid"] is None
    assert result["diff"][0]["before"] == "" and "<key>Label</key>" in result["diff"][0]["after"]
    assert not os.path.exists(host.folder)
    for state in ("stopped", "absent"):
        assert not host.ensure(state, check=True)["changed"]


def test_without_launchctl_nothing_is_written(tmp_path):
    host = LaunchdHost(tmp_path)
    with pytest.raises(LlamaCppError, match="launchctl"):
        host.ensure(content=host.content())
    assert os.listdir(host.folder) == []


def test_check_mode_on_a_running_host_touches_nothing(host):
    pid = host.ensure(content=host.content())["pid"]
    verbs = host.verbs()
    assert not host.ensure(content=host.content(), check=True)["changed"]
    for state in ("stopped", "restarted", "absent"):
        assert host.ensure(state, check=True)["changed"]
    assert host.ensure(content=host.content(stop_seconds=9), check=True)["changed"]
    assert host.ensure(check=True, enabled=False)["changed"]
    assert host.servers() == [pid] and host.verbs() == verbs


def test_a_wrong_mode_is_corrected_without_a_restart(host):
    pid = host.ensure(content=host.content())["pid"]
    os.chmod(host.path, 0o666)
    result = host.ensure(content=host.content())
    assert result["changed"] and result["pid"] == pid and os.stat(host.path).st_mode & 0o7777 == 0o644


@as_root
def test_a_wrong_owner_of_a_daemon_is_corrected(tmp_path):
    with LaunchdHost(tmp_path, "system") as host:
        host.ensure(content=host.content())
        os.chown(host.path, 4711, 4711)
        assert host.ensure(content=host.content())["changed"]
        assert os.stat(host.path).st_uid == os.stat(host.path).st_gid == 0


# -- the commands --------------------------------------------------------------------------------------------------


def test_the_commands_see_the_same_service(host):
    host.ensure(content=host.content())
    service = open_service(
        {
            "manager": "launchd",
            "name": host.label,
            "definition": host.path,
            "domains": [host.domain],
            "launchctl": host.launchctl,
            "auto_start": True,
            "log": host.log,
        }
    )
    before = service.status()["pid"]
    service.start()
    assert service.status()["pid"] == before
    service.restart()
    assert service.status()["running"] and service.status()["pid"] != before
    service.stop()
    assert not service.status()["running"]
