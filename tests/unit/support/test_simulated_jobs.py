# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Jobs live, end and come back in the launchd simulator as launchd's were seen to; sources: docs/macos.md."""

import os
import signal

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.processes import alive
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import stays, wait_until
from support.simulated_mac import GUI, TARGET

pytestmark = pytest.mark.processes


def test_bootout_returns_before_the_label_is_free(mac):
    mac.set(drain_seconds=1.0)
    mac.load()
    pid = mac.pid()
    assert mac.run("bootout", TARGET)[0] == 0
    assert mac.run("bootstrap", GUI, mac.plist())[0] == 5
    mac.set(busy_code=37)
    assert mac.run("bootstrap", GUI, mac.plist())[0] == 37
    assert wait_until(lambda: mac.run("print", TARGET)[0] == 113, 10)
    assert not alive(pid) and mac.run("bootstrap", GUI, mac.plist())[0] == 0


def test_bootout_can_wait(mac):
    mac.load()
    assert mac.run("bootout", "--wait", TARGET)[0] == 0 and mac.run("print", TARGET)[0] == 113


def test_a_stubborn_process_is_killed_after_its_exit_timeout(mac):
    mac.load(ProgramArguments=mac.script("trap '' TERM; while :; do sleep 0.1; done"), ExitTimeOut=1)
    pid = mac.pid()
    mac.run("bootout", TARGET)
    assert mac.shown("pid") == str(pid)
    assert wait_until(lambda: mac.run("print", TARGET)[0] == 113, 10) and not alive(pid)


def test_children_of_an_ended_job_are_killed_unless_abandoned(mac):
    for abandon in (False, True):
        file = mac.directory / "child"
        script = "sleep 600 & echo $! > %s.new; mv %s.new %s; wait" % (file, file, file)
        mac.load(ProgramArguments=mac.script(script), AbandonProcessGroup=abandon)
        assert wait_until(file.exists, 10)
        child = int(file.read_text())
        mac.run("bootout", "--wait", TARGET)
        assert wait_until(lambda child=child, abandon=abandon: alive(child) == abandon, 10)
        file.unlink()
        if abandon:
            os.kill(child, signal.SIGKILL)


EXITS = {"exit 0": "exit 0", "exit 1": "exit 1", "SIGKILL": "kill -KILL $$", "SIGABRT": "kill -ABRT $$"}


@pytest.mark.parametrize(
    ("keep_alive", "comes_back_after"),
    [
        (True, {"exit 0", "exit 1", "SIGKILL", "SIGABRT"}),
        (False, set()),
        ({"SuccessfulExit": False}, {"exit 1", "SIGKILL", "SIGABRT"}),
        ({"SuccessfulExit": True}, {"exit 0"}),
        ({"Crashed": True}, {"SIGABRT"}),
        ({"Crashed": True, "SuccessfulExit": False}, {"exit 1", "SIGKILL", "SIGABRT"}),
    ],
)
def test_keep_alive(mac, keep_alive, comes_back_after):
    """A job that ends by itself is started a second time, or is not, as its KeepAlive says."""
    for name, last_words in EXITS.items():
        label = "com.example." + name.replace(" ", "")
        mac.load(Label=label, ProgramArguments=mac.script(last_words), KeepAlive=keep_alive)
        target = "%s/%s" % (GUI, label)
        if name in comes_back_after:
            assert wait_until(lambda target=target: int(mac.shown("runs", target)) >= 2, 10), name
        else:
            assert wait_until(lambda target=target: mac.shown("state", target) == "not running", 10), name
            assert stays(lambda target=target: mac.shown("runs", target) == "1", 0.2), name
        mac.run("bootout", "--wait", target)


def test_the_last_exit_is_told_in_its_forms(mac):
    for last_words, shown in (("exit 3", "3"), ("exit 0", "0")):
        mac.load(ProgramArguments=mac.script(last_words))
        assert wait_until(lambda: mac.shown("state") == "not running", 10)
        assert mac.shown("last exit code") == shown
        mac.run("bootout", "--wait", TARGET)
    mac.load(ProgramArguments=mac.script("kill -KILL $$"))
    assert wait_until(lambda: mac.shown("last terminating signal"), 10) == "Killed: 9"
    assert mac.shown("last exit code") is None


@pytest.mark.parametrize(
    "keys",
    [
        {"ProgramArguments": ["/no/such/program"]},
        {"WorkingDirectory": "/no/such/directory"},
        {"StandardOutPath": "/no/such/directory/log"},
    ],
)
def test_a_job_that_cannot_be_set_up_ends_with_ex_config(mac, keys):
    mac.load(**keys)
    assert mac.shown("last exit code") == "78: EX_CONFIG" and mac.shown("runs") == "1"


def test_a_restart_waits_for_the_throttle_interval_but_kickstart_does_not(mac):
    mac.load(KeepAlive=True, ThrottleInterval=600)
    os.kill(mac.pid(), signal.SIGKILL)
    assert wait_until(lambda: mac.shown("state") == "spawn scheduled", 10)
    assert mac.shown("pid") is None
    assert mac.run("kickstart", TARGET)[0] == 0 and mac.pid()
    first = mac.pid()
    assert mac.run("kickstart", TARGET) == (37, "", "")
    assert mac.run("kickstart", "-k", TARGET)[0] == 0
    assert wait_until(lambda: mac.pid() not in (0, first), 10)


def test_without_run_at_load_a_job_waits_for_kickstart(mac):
    mac.load(RunAtLoad=False)
    assert mac.shown("state") == "not running" and mac.shown("runs") == "0"
    mac.run("kickstart", TARGET)
    assert mac.pid()


def test_start_interval_starts_again_and_again(mac):
    mac.load(RunAtLoad=True, ProgramArguments=["/bin/true"], StartInterval=1)
    assert mac.shown("run interval") == "1 seconds"
    assert wait_until(lambda: int(mac.shown("runs")) >= 3, 10)


def test_the_process_gets_what_the_plist_says(mac):
    log = mac.directory / "a log & more"
    script = 'pwd; umask; ulimit -n; echo "$PATH|$HOME|$X|$XPC_SERVICE_NAME"; echo "error" >&2; exec sleep 600'
    mac.load(
        ProgramArguments=mac.script(script),
        WorkingDirectory="/usr",
        Umask=0o077,
        SoftResourceLimits={"NumberOfFiles": 300},
        EnvironmentVariables={"X": "a <b> & 'c'"},
        StandardOutPath=str(log),
        StandardErrorPath=str(log),
    )
    assert wait_until(lambda: "error" in log.read_text(), 10)
    assert log.read_text() == ("/usr\n0077\n300\n/usr/bin:/bin:/usr/sbin:/sbin||a <b> & 'c'|com.example.agent\nerror\n")
