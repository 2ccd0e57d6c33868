# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The launchd simulator behaves as launchd was seen to behave; sources: docs/macos.md."""

import os
import plistlib
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.processes import alive
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import stays, wait_until
from support.launchctl_simulator.control import BIN, Simulator

pytestmark = pytest.mark.processes

UID = os.getuid()
GUI, USER = "gui/%d" % UID, "user/%d" % UID
AGENT = "com.example.agent"
TARGET = "%s/%s" % (GUI, AGENT)


class Mac(Simulator):
    """A simulated Mac with one agent that sleeps, and short ways to look at it."""

    def plist(self, **keys):
        """The path of a plist with these keys; a key of value None is left out."""
        label = keys.get("Label", AGENT)
        job = {"Label": label, "ProgramArguments": ["/bin/sleep", "600"], "RunAtLoad": True, "ThrottleInterval": 0}
        job = {key: value for key, value in {**job, **keys}.items() if value is not None}
        path = self.directory / "agents" / ("%s.plist" % label)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(plistlib.dumps(job))
        path.chmod(0o644)
        return str(path)

    def script(self, body):
        """ProgramArguments that run a shell script."""
        return ["/bin/sh", "-c", body]

    def load(self, domain=GUI, **keys):
        code, _, errors = self.run("bootstrap", domain, self.plist(**keys))
        assert code == 0, errors

    def shown(self, name, target=TARGET):
        """What ``print`` shows of the job's own ``name``, or None."""
        found = re.search(r"^\t%s = (.*)$" % name, self.run("print", target)[1], re.MULTILINE)
        return found and found.group(1)

    def pid(self, target=TARGET):
        return int(self.shown("pid", target) or 0)


@pytest.fixture
def mac():
    with tempfile.TemporaryDirectory() as directory, Mac(directory) as mac:
        mac.login(UID)
        yield mac


# -- transcripts ---------------------------------------------------------------------------------------------------


def test_print_has_the_form_of_the_captures(mac):
    program = ["/bin/sleep", "600"]
    mac.load(EnvironmentVariables={"HOME": "/Users/x"}, StandardOutPath="/dev/null", ProcessType="Interactive")
    pid = mac.pid()
    expected = """\
%s = {
	active count = 1
	path = %s
	type = LaunchAgent
	state = running

	program = %s
	arguments = {
		%s
		%s
	}

	stdout path = /dev/null
	default environment = {
		PATH => /usr/bin:/bin:/usr/sbin:/sbin
	}

	environment = {
		HOME => /Users/x
		XPC_SERVICE_NAME => com.example.agent
	}

	domain = %s [100003]
	minimum runtime = 0
	exit timeout = 5
	runs = 1
	pid = %d
	last exit code = (never exited)

	resource coalition = {
		ID = 1140
		type = resource
		state = active
		active count = 1
	}

	spawn type = interactive (4)
	jetsam priority = 40

	properties = runatload | inferred program
}
""" % (TARGET, mac.directory / "agents" / (AGENT + ".plist"), program[0], *program, GUI, pid)
    assert mac.run("print", TARGET) == (0, expected, "")


def test_absent_things_are_told_with_the_documented_codes(mac):
    code, out, errors = mac.run("print", TARGET)
    assert (code, out) == (113, "")
    assert 'Could not find service "com.example.agent" in domain for user gui: %d' % UID in errors
    code, _, errors = mac.run("print", "gui/4711")
    assert code == 112 and "Could not find domain for" in errors
    assert mac.run("bootout", TARGET) == (3, "", "Boot-out failed: 3: No such process\n")
    assert mac.run("bootstrap", "gui/4711", mac.plist())[0] == 125
    for wrong in (["frobnicate"], ["bootstrap"], ["print", "nonsense"], []):
        assert mac.run(*wrong)[0] == 64


def test_a_loaded_job_cannot_be_loaded_again(mac):
    mac.load()
    code, _, errors = mac.run("bootstrap", GUI, mac.plist())
    assert code == 5
    assert errors == (
        "Bootstrap failed: 5: Input/output error\nTry re-running the command as root for richer errors.\n"
    )


def test_print_disabled_and_list(mac):
    mac.run("disable", GUI + "/com.example.off")
    mac.run("enable", GUI + "/com.example.on")
    text = '\tdisabled services = {\n\t\t"com.example.off" => disabled\n\t\t"com.example.on" => enabled\n\t}\n'
    assert mac.run("print-disabled", USER)[1] == text
    mac.run("bootstrap", "system" if UID == 0 else GUI, mac.plist())
    pid = mac.pid(("system/" if UID == 0 else GUI + "/") + AGENT)
    listing = mac._ask(kind="launchctl", arguments=["list"], uid=UID)[1]
    assert listing == "PID\tStatus\tLabel\n%d\t0\t%s\n" % (pid, AGENT)


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "keys"),
    [
        (110, {"Label": None}),
        (111, {"ProgramArguments": None}),
        (134, {"LimitLoadToSessionType": "LoginWindow"}),
        (5, {"Disabled": True}),
    ],
)
def test_bad_plists_are_refused(mac, code, keys):
    path = mac.plist(**{key: value for key, value in keys.items() if key != "Label"})
    if "Label" in keys:
        Path(path).write_bytes(plistlib.dumps({"ProgramArguments": ["/bin/true"]}))
    assert mac.run("bootstrap", GUI, path)[0] == code


def test_malformed_missing_and_writable_plists_are_refused(mac):
    path = mac.plist()
    os.chmod(path, 0o664)
    assert mac.run("bootstrap", GUI, path)[0] == 5
    Path(path).write_text("<plist><dict><key>A</key>")
    os.chmod(path, 0o644)
    assert mac.run("bootstrap", GUI, path)[0] == 109
    os.unlink(path)
    assert mac.run("bootstrap", GUI, path)[0] == 5


@pytest.mark.skipif(UID != 0, reason="only root can give files away")
def test_a_daemon_must_belong_to_root(mac):
    path = mac.plist()
    os.chown(path, 4711, 0)
    assert mac.run("bootstrap", "system", path)[0] == 5
    os.chown(path, 0, 4711)
    assert mac.run("bootstrap", "system", path)[0] == 5
    os.chown(path, 0, 0)
    assert mac.run("bootstrap", "system", path)[0] == 0


def test_others_may_not_change_a_domain(mac):
    for arguments in (["bootstrap", "system", mac.plist()], ["bootout", "system/x"], ["enable", "system/x"]):
        code, _, errors = mac._ask(kind="launchctl", arguments=arguments, uid=4711)
        assert code in (1, 5) and errors


def test_enable_takes_any_label_in_silence(mac):
    assert mac.run("enable", GUI + "/com.example.no.such.label") == (0, "", "")


def test_a_disabled_label_is_refused_until_it_is_enabled_also_after_a_reboot(mac):
    mac.run("disable", USER + "/" + AGENT)
    assert mac.run("bootstrap", GUI, mac.plist())[0] == 5
    mac.reboot()
    mac.login(UID)
    assert mac.run("bootstrap", GUI, mac.plist())[0] == 5
    mac.run("enable", TARGET)
    assert mac.run("bootstrap", GUI, mac.plist())[0] == 0


# -- the life of a job ---------------------------------------------------------------------------------------------


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


# -- people --------------------------------------------------------------------------------------------------------


def test_login_logout_and_reboot(mac):
    agents = os.path.dirname(mac.plist())
    mac.plist(Label="com.example.background", LimitLoadToSessionType=["Background"])
    mac.set(agents={str(UID): [agents]}, daemons=[])
    mac.logout(UID)
    assert mac.run("print", TARGET)[0] == 113 and mac.run("print", GUI)[0] == 112
    mac.login(UID)
    agent, background = mac.pid(), mac.pid(USER + "/com.example.background")
    assert agent and background and mac.run("print", GUI + "/com.example.background")[0] == 113
    mac.logout(UID)
    assert not alive(agent) and alive(background)
    mac.reboot()
    assert not alive(background) and mac.run("print", USER + "/com.example.background")[0] == 113
    mac.background_login(UID)
    assert mac.pid(USER + "/com.example.background") and mac.run("print", TARGET)[0] == 113


@pytest.mark.skipif(UID != 0, reason="daemons belong to root")
def test_daemons_are_there_after_a_reboot_without_a_login(mac):
    mac.set(daemons=[os.path.dirname(mac.plist())])
    mac.reboot()
    assert mac.pid("system/" + AGENT)


# -- the simulator itself ------------------------------------------------------------------------------------------


def test_the_command_is_a_launchctl(mac):
    done = subprocess.run([mac.launchctl, "print", TARGET], capture_output=True, text=True, check=False)
    assert done.returncode == 113 and "Could not find service" in done.stderr
    bare = subprocess.run(
        [str(BIN / "launchctl"), "list"], capture_output=True, env={"PATH": os.environ["PATH"]}, check=False
    )
    assert bare.returncode not in (0, 113) and b"LAUNCHCTL_SIMULATOR_STATE" in bare.stderr
    assert mac.calls()[-1] == ["print", TARGET]


def test_the_control_command_does_what_people_do(mac):
    def control(*words):
        subprocess.run([str(BIN / "launchd-control"), str(mac.directory), *words], check=True)

    control("logout", str(UID))
    assert mac.run("print", GUI)[0] == 112
    control("login", str(UID))
    control("set", "drain_seconds=3")
    control("fail", "print", "113", "5")
    assert [mac.run("print", GUI)[0] for _ in range(3)] == [113, 5, 0]
    control("reboot")
    assert mac.run("print", GUI)[0] == 112


def test_switched_off_it_leaves_no_process(mac):
    mac.load(ProgramArguments=mac.script("trap '' TERM; while :; do sleep 0.1; done"), KeepAlive=True)
    pid, daemon = mac.pid(), mac.daemon_pid()
    mac.stop()
    assert not alive(pid) and not alive(daemon)


@pytest.mark.parametrize("end", ["its directory vanishes", "the one it runs for is gone", "it is killed"])
def test_it_never_outlives_its_purpose(end):
    guard = subprocess.Popen(["/bin/sleep", "600"])
    with tempfile.TemporaryDirectory() as parent:
        mac = Mac(os.path.join(parent, "mac"), guard_pid=guard.pid)
        mac.start()
        mac.login(UID)
        mac.load(KeepAlive=True)
        pid, daemon = mac.pid(), mac.daemon_pid()
        if end == "its directory vanishes":
            os.rename(mac.directory, os.path.join(parent, "elsewhere"))
        elif end == "it is killed":
            os.kill(daemon, signal.SIGKILL)
        else:
            guard.kill()
            guard.wait()
        assert wait_until(lambda: not alive(daemon) and not alive(pid), 10)
    guard.kill()
    guard.wait()


def test_two_macs_do_not_know_of_each_other(mac):
    with tempfile.TemporaryDirectory() as directory, Mac(directory) as other:
        other.login(UID)
        mac.load()
        assert other.run("print", TARGET)[0] == 113
