# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The simulated Mac that the simulator's own tests look at."""

import os
import plistlib
import re

from support.launchctl_simulator.control import Simulator

UID = os.getuid()
GUI, USER = "gui/%d" % UID, "user/%d" % UID
AGENT = "com.example.agent"
TARGET = "%s/%s" % (GUI, AGENT)


class SimulatedMac(Simulator):
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
