# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""launchctl's codes and output, read from the forms that were captured on Macs."""

import stat

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.exit_codes import (
    REMEDIES,
    remedy_for,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.launchctl import (
    Launchctl,
    LaunchctlMissing,
    check_domain,
    parse_disabled,
    parse_print,
)

# The form of `launchctl print gui/501/<label>` on macOS 14 to 26, shortened; nested blocks are the trap.
RUNNING = """\
gui/501/com.llama.server = {
	active count = 4
	path = /Users/u/Library/LaunchAgents/com.llama.server.plist
	type = LaunchAgent
	state = running

	program = /opt/llm/it's here/llama-server
	arguments = {
		/opt/llm/it's here/llama-server
		--alias
		pid = 5
	}

	inherited environment = {
		SSH_AUTH_SOCK => /private/tmp/com.apple.launchd.x/Listeners
	}

	environment = {
		FINGERPRINT => abc
		ODD => a => b
		XPC_SERVICE_NAME => com.llama.server
	}

	domain = gui/501 [100003]
	minimum runtime = 10
	exit timeout = 15
	runs = 7
	pid = 15818
	last exit code = (never exited)

	endpoints = {
		"com.example.endpoint" = {
			state = active
			pid = 99999
			runs = 4321
		}
	}

	resource coalition = {
		state = active
		exit timeout = 1
	}

	spawn type = interactive (4)
}
"""


def test_a_running_job_is_read_from_its_own_lines_only():
    job = parse_print(RUNNING)
    assert (job.state, job.pid, job.runs, job.last_exit, job.exit_timeout) == ("running", 15818, 7, None, 15)
    assert job.path == "/Users/u/Library/LaunchAgents/com.llama.server.plist"
    assert job.arguments == ["/opt/llm/it's here/llama-server", "--alias", "pid = 5"]
    assert job.environment == {"FINGERPRINT": "abc", "ODD": "a => b", "XPC_SERVICE_NAME": "com.llama.server"}


@pytest.mark.parametrize(
    ("state", "running", "ending"),
    [("running", True, False), ("xpcproxy", True, False), ("SIGTERMed", False, True)],
)
def test_a_job_with_a_process_may_be_ending(state, running, ending):
    job = parse_print(RUNNING.replace("\tstate = running\n", f"\tstate = {state}\n"))
    assert (job.pid, job.running, job.ending) == (15818, running, ending)


@pytest.mark.parametrize(
    ("line", "last_exit"),
    [
        ("last exit code = (never exited)", None),
        ("last exit code = 0", 0),
        ("last exit code = 1", 1),
        ("last exit code = 78: EX_CONFIG", 78),
        ("last terminating signal = Killed: 9", -9),
        ("last terminating signal = Segmentation fault: 11", -11),
    ],
)
def test_the_last_exit_has_several_forms(line, last_exit):
    text = RUNNING.replace("last exit code = (never exited)", line).replace("\tpid = 15818\n", "")
    job = parse_print(text.replace("state = running", "state = spawn scheduled"))
    assert (job.state, job.pid, job.last_exit) == ("spawn scheduled", None, last_exit)


def test_what_is_not_shown_is_not_known():
    job = parse_print("system/x = {\n\tstate = not running\n}\n")
    assert (job.pid, job.path, job.runs, job.last_exit) == (None, None, 0, None)
    assert job.arguments is None and job.environment is None and job.exit_timeout is None


def test_disabled_labels_have_an_old_and_a_new_form():
    text = 'disabled services = {\n\t\t"a.b" => disabled\n\t\t"c" => enabled\n\t"d" => true\n\t"e" => false\n}\n'
    assert parse_disabled(text) == {"a.b": True, "c": False, "d": True, "e": False}


@pytest.mark.parametrize("domain", ["system", "gui/501", "user/0"])
def test_domains(domain):
    check_domain(domain)


@pytest.mark.parametrize(
    "domain", ["", "gui", "gui/", "gui/me", "system/com.x", "login/100", "gui/501/com.x", "gui/1 "]
)
def test_other_domains_are_refused(domain):
    with pytest.raises(LlamaCppError, match="system"):
        check_domain(domain)


@pytest.mark.parametrize("code", [*sorted(REMEDIES), 130, 201])
def test_every_code_has_a_remedy_that_can_be_read(code):
    remedy = remedy_for(code, "gui/501/x")
    assert remedy.endswith((".", "gui/501/x")) and "{" not in remedy


def fake(tmp_path, body):
    program = tmp_path / "launchctl"
    program.write_text("#!/bin/sh\n" + body + "\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Launchctl(str(program), timeout=5)


def test_an_answer_has_code_and_words(tmp_path):
    answer = fake(tmp_path, 'echo "out: $*"; echo "Boot-out failed: 3" >&2; exit 3').run("bootout", "gui/501/a b")
    assert (answer.code, answer.output) == (3, "out: bootout gui/501/a b\n")
    assert answer.words == "Boot-out failed: 3 out: bootout gui/501/a b"


@pytest.mark.parametrize("code", [112, 113, 125])
def test_absent_is_told_from_broken(tmp_path, code):
    assert fake(tmp_path, "exit %d" % code).job("gui/501/x") is None


def test_a_print_that_fails_otherwise_is_a_failure(tmp_path):
    with pytest.raises(LlamaCppError, match="153"):
        fake(tmp_path, "exit 153").job("gui/501/x")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('echo "$2: Bad: very bad"', "130, Bad: very bad"),
        ("echo 130:; exit 0", "130"),
        ("echo 'Unrecognized subcommand: error' >&2; exit 64", "130"),
        ("exec sleep 60", "130"),
    ],
)
def test_the_text_of_a_code_is_launchctls_own(tmp_path, body, told):
    launchctl = fake(tmp_path, body)
    launchctl._timeout = 0.5
    assert launchctl.describe(130) == told


def test_wrong_usage_is_not_told_as_the_errno_of_its_number(tmp_path):
    assert fake(tmp_path, 'echo "64: Host is down"').describe(64) == "64, wrong usage"


def test_a_missing_launchctl_is_told_by_its_path(tmp_path):
    with pytest.raises(LaunchctlMissing, match="nowhere"):
        Launchctl(str(tmp_path / "nowhere")).run("print", "system")


def test_a_launchctl_that_hangs_is_given_up(tmp_path):
    launchctl = fake(tmp_path, "exec sleep 60")
    launchctl._timeout = 0.2
    with pytest.raises(LlamaCppError, match="print system"):
        launchctl.run("print", "system")
