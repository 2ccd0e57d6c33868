# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""200 random sequences of what people, plays and mishaps do to a job; each ends in the state that was asked for."""

import os
import plistlib
import random
import signal
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd import job
from support.launchd_host import UID, LaunchdHost

pytestmark = pytest.mark.processes

SEQUENCES = 200
BATCHES = 8  # run side by side; each is one Mac, on which every sequence begins where the one before ended
LONGEST = 6


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(job, "wait_until", lambda condition, seconds, **_: wait_until(condition, seconds, 0.01))
    with tempfile.TemporaryDirectory() as directory, LaunchdHost(os.path.realpath(directory)) as host:
        yield host


@pytest.mark.parametrize("seed", range(BATCHES))
def test_every_sequence_of_events_ends_in_the_state_that_is_asked_for(host, seed):
    chance = random.Random(seed)
    story = Story(host, chance)
    for _ in range(SEQUENCES // BATCHES):
        for event in chance.choices(story.events, k=chance.randint(1, LONGEST)):
            event()
        story.ask()
        story.check()
        if chance.random() < 0.3:
            story.reboot_and_log_in()
            story.check_after_boot()


class Story:
    """What happens to ``host``, and what must be so then. ``asked`` is the last state that a play asked for."""

    def __init__(self, host, chance):
        self._host = host
        self._chance = chance
        self._contents = [host.content(fingerprint=digit * 64) for digit in "01"]
        self._content = None
        self._enabled = None
        self.asked = None
        #: Each is as likely as any other.
        self.events = [
            *(self.ask, self.start, self.stop, self.restart),
            *(self.crash, self.end, self.reboot, self.reboot_and_log_in, self.log_out),
            *(self._verb(verb) for verb in (["enable"], ["disable"], ["bootout"], ["kickstart", "-k"])),
        ]

    # -- plays and commands -------------------------------------------------------------------------------------

    def ask(self):
        """A play."""
        self._log_in()
        self.asked = self._chance.choice(["started", "stopped", "restarted", "absent"])
        self._content = self._chance.choice(self._contents)
        self._enabled = self._chance.choice([None, None, True, False])
        self._host.ensure(self.asked, content=self._content, enabled=self._enabled, settle=0)

    def start(self):
        self._command("start")

    def stop(self):
        self._command("stop")

    def restart(self):
        self._command("restart")

    def _command(self, verb):
        """What llm-manager does; where nothing is installed it has nothing to do it with."""
        if os.path.exists(self._host.path):
            self._log_in()
            getattr(self._host.service(settle=0), verb)()

    # -- people and mishaps -------------------------------------------------------------------------------------

    def crash(self):
        for pid in self._host.servers():
            os.kill(pid, signal.SIGKILL)

    def end(self):
        for pid in self._host.servers():
            os.kill(pid, signal.SIGTERM)

    def reboot(self):
        self._host.reboot()

    def log_out(self):
        self._host.logout(UID)

    def reboot_and_log_in(self):
        self._host.reboot()
        self._log_in()

    def _log_in(self):
        self._host.login(UID)

    def _verb(self, words):
        return lambda: self._host.run(*words, self._host.target)

    # -- what must be so ----------------------------------------------------------------------------------------

    def check(self):
        """After a play."""
        running = self.asked in ("started", "restarted")
        assert self._servers_are_those_of_launchd(running)
        assert os.path.exists(self._host.path) == (self.asked != "absent")
        if running:
            assert plistlib.loads(self._content.encode())["EnvironmentVariables"].items() <= self._environment().items()
        if self._enabled is not None and self.asked != "absent":
            assert self._is_allowed() == self._enabled

    def check_after_boot(self):
        """What launchd may load it loads, stopped or not."""
        assert self._servers_are_those_of_launchd(self.asked != "absent" and self._is_allowed())

    def _servers_are_those_of_launchd(self, running):
        """Whether there is exactly the one process that launchd has for the job, or none: no orphan either way."""
        status = self._host.service().status

        def so():
            pid = status()["pid"]
            return (pid is not None) == running and self._host.servers() == ([pid] if running else [])

        return wait_until(so, 10, 0.01)

    def _is_allowed(self):
        return '"%s" => disabled' % self._host.label not in self._host.run("print-disabled", self._host.domain)[1]

    def _environment(self):
        (pid,) = self._host.servers()
        words = Path("/proc/%d/environ" % pid).read_text().split("\0")
        return dict(word.split("=", 1) for word in words if "=" in word)
