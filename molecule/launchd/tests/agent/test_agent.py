# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the role has set up, as launchd has it."""

import os
import plistlib
import stat

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import plist
from support.known_answer import ANSWER, QUESTION
from support.provisioned_mac import SERVER, WATCHDOG

LABELS = [SERVER, WATCHDOG]
NO_SERVICE = 113


@pytest.mark.parametrize("label", LABELS)
def test_it_is_loaded_in_the_domain_of_the_user_and_in_no_other(serving, label):
    job = serving.job(label)
    assert (job.state, job.path) == ("running", str(serving.plist(label)))
    for domain in ("user/%d" % serving.uid, "system"):
        assert serving.simulator.run("print", serving.target(label, domain))[0] == NO_SERVICE


def test_who_types_a_question_gets_the_answer(serving):
    done = serving.command("llm", QUESTION)
    assert (done.returncode, done.stdout) == (0, ANSWER + "\n")


def test_it_was_started_once(serving):
    """A second run of the play has gone by."""
    assert [serving.job(label).runs for label in LABELS] == [1, 1]


def test_the_gpu_is_not_throttled(serving):
    assert "\tspawn type = interactive (4)\n" in serving.simulator.run("print", serving.target())[1]


def test_the_only_server_is_the_one_that_launchd_has_started(serving):
    assert serving.servers() == [serving.run_state()["child"]["pid"]]
    assert os.getpgid(serving.servers()[0]) == serving.pid()


@pytest.mark.parametrize("label", LABELS)
def test_every_key_of_the_plist_is_one_that_launchd_knows(serving, label):
    path = serving.plist(label)
    assert plist.problems(path.read_text(), str(path), serving.domain) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_plist_says_how_long_a_large_model_may_take_to_end(serving):
    keys = plistlib.loads(serving.plist().read_bytes())
    assert (keys["Label"], keys["ProcessType"], keys["RunAtLoad"]) == (SERVER, "Interactive", True)
    assert keys["KeepAlive"] == {"Crashed": True, "SuccessfulExit": False}
    assert keys["ExitTimeOut"] >= 20
    assert serving.job().exit_timeout == keys["ExitTimeOut"]


def test_the_key_is_in_no_plist_no_command_line_and_no_log(serving):
    key = serving.key().encode()
    assert len(key) >= 32
    assert key not in b"".join(path.read_bytes() for path in serving.plists.iterdir())
    assert key not in b"".join(path.read_bytes() for path in (serving.install / "logs").iterdir())
    assert key.decode() not in serving.simulator.run("print", serving.target())[1]
    for pid in (serving.pid(), serving.pid(WATCHDOG), *serving.servers()):
        with open("/proc/%d/cmdline" % pid, "rb") as command, open("/proc/%d/environ" % pid, "rb") as environment:
            assert key not in command.read() + environment.read()
