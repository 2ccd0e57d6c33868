# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is done to a simulated Mac from outside: switch it on and off, log in and out, reboot, make verbs fail.

As a command (tests/support/bin/launchd-control), for playbooks:

    launchd-control <state directory> start | stop | login <uid> | background-login <uid> | logout <uid> | reboot
    launchd-control <state directory> set <name>=<JSON> … | fail <verb> <code> …
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from . import wire
from .client import STATE_VARIABLE

TESTS = Path(__file__).resolve().parents[2]
BIN = TESTS / "support" / "bin"
START_SECONDS = 20


class Simulator:
    """One simulated Mac in ``directory``; as a context manager it is switched off at the end.

    :param guard_pid: the process for which it runs: when that ends, so does the Mac. 0: nobody.
    """

    def __init__(self, directory, guard_pid=None):
        self.directory = Path(directory)
        self.launchctl = str(self.directory / "bin" / "launchctl")
        self._guard_pid = os.getpid() if guard_pid is None else guard_pid

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exception):
        self.stop()

    def start(self):
        """Switch on. Raises OSError when the background process does not answer."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._write_launchctl()
        subprocess.run(
            [sys.executable, "-m", "support.launchctl_simulator.daemon", str(self.directory), str(self._guard_pid)],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            check=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._ask(kind="set", settings={})
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self):
        """Switch off: everything that runs is killed."""
        pid = self.daemon_pid()
        try:
            self._ask(kind="stop")
        except OSError:
            return
        while wire.runs(pid):
            time.sleep(0.01)

    def is_on(self):
        return os.path.exists(self.directory / wire.SOCKET)

    def daemon_pid(self):
        return int((self.directory / "launchd.pid").read_text(encoding="ascii"))

    def set(self, **settings):
        """Change settings: see launchd.SETTINGS."""
        self._ask(kind="set", settings=settings)

    def fail(self, verb, *codes):
        """Let the next calls of ``verb`` end with ``codes``, one after the other."""
        self._ask(kind="fail", verb=verb, codes=codes)

    def login(self, uid):
        self._ask(kind="login", uid=uid)

    def background_login(self, uid):
        self._ask(kind="background_login", uid=uid)

    def logout(self, uid):
        self._ask(kind="logout", uid=uid)

    def reboot(self):
        self._ask(kind="reboot")

    def calls(self):
        """The arguments of every launchctl that was run so far, a list for each."""
        try:
            lines = (self.directory / "calls.log").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def run(self, *arguments):
        """(exit code, stdout, stderr) of launchctl, as root would get it."""
        return tuple(self._ask(kind="launchctl", arguments=arguments, uid=0))

    def _ask(self, **request):
        return wire.ask(str(self.directory), request)

    def _write_launchctl(self):
        """A launchctl of this Mac's own, so that its path says which Mac is meant."""
        path = Path(self.launchctl)
        path.parent.mkdir(exist_ok=True)
        variables = "%s=%s" % (STATE_VARIABLE, shlex.quote(str(self.directory)))
        # -I -S: it needs nothing but the standard library, and is run very often
        command = "exec %s -I -S %s" % (shlex.quote(sys.executable), shlex.quote(str(BIN / "launchctl")))
        path.write_text('#!/bin/sh\nexport %s\n%s "$@"\n' % (variables, command), encoding="utf-8")
        path.chmod(0o755)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    directory, verb, *rest = sys.argv[1:]
    mac = Simulator(directory, guard_pid=0)
    if verb == "set":
        mac.set(**{name: json.loads(value) for name, value in (word.split("=", 1) for word in rest)})
    elif verb == "fail":
        mac.fail(rest[0], *map(int, rest[1:]))
    elif verb in ("login", "logout", "background-login"):
        getattr(mac, verb.replace("-", "_"))(int(rest[0]))
    elif verb in ("start", "stop", "reboot"):
        getattr(mac, verb)()
    else:
        sys.exit(__doc__)
