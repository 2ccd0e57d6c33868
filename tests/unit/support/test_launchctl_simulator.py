# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The launchd simulator behaves as launchd was seen to behave; sources: docs/macos.md."""

import os
import plistlib
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.processes import alive
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.launchctl_simulator.control import BIN
from support.simulated_mac import AGENT, GUI, TARGET, UID, USER, SimulatedMac

pytestmark = pytest.mark.processes


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
    assert mac.run("error", "113") == (0, "113: Could not find specified service\n", "")
    for wrong in (["frobnicate"], ["bootstrap"], ["print", "nonsense"], ["error"], []):
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
        mac = SimulatedMac(os.path.join(parent, "mac"), guard_pid=guard.pid)
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
    with tempfile.TemporaryDirectory() as directory, SimulatedMac(directory) as other:
        other.login(UID)
        mac.load()
        assert other.run("print", TARGET)[0] == 113
