# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A simulated Mac with one launchd job of this collection's own template, for tests of what manages it."""

import os

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.service.converge import converge
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.job import Launchd
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.launchctl import LOOKS, Answer

from support.launchctl_simulator.control import Simulator
from support.service_plan import change, render, service_plan, write_launcher

UID = os.getuid()
FOREVER = 'echo "started as $$"; exec sleep 600'


class LaunchdHost(Simulator):
    """``content()`` is the plist for the plan as it is; ``path`` is where it belongs; ``log`` is the job's log."""

    def __init__(self, directory, domain="gui/%d" % UID):
        super().__init__(os.path.join(str(directory), "mac"))
        self.root = str(directory)
        self.domain = domain
        self.plan = service_plan(self.root, manager="launchd", domain=domain, throttle_seconds=0, stop_seconds=2)
        self.plan["service"]["scope"] = "system" if domain == "system" else "user"
        self.plan["service"]["user"] = "root"
        self.label = self.plan["service"]["name"]
        self.target = "%s/%s" % (domain, self.label)
        self.folder = os.path.join(self.root, "Library", "LaunchAgents")
        self.path = os.path.join(self.folder, self.label + ".plist")
        self.log = self.plan["service"]["output_file"]
        self.write_launcher(FOREVER)

    def start(self):
        super().start()
        if self.domain == "system":
            self.set(daemons=[self.folder])
        else:
            self.set(agents={str(UID): [self.folder]})
        if self.domain.startswith("gui/"):
            self.login(UID)

    def write_launcher(self, script):
        write_launcher(self.plan, script)

    def content(self, **service):
        change(self.plan, **service)
        return render("com.llama.server.plist.j2", self.plan)

    def quiet_content(self):
        """A plist whose job does not start when it is loaded; ours does."""
        content = self.content().replace("<key>SuccessfulExit</key>\n    <false/>\n", "")
        return content.replace("<key>RunAtLoad</key>\n  <true/>", "<key>RunAtLoad</key>\n  <false/>")

    def service(self, **options):
        options = {"settle": 0.1, **options}
        service = Launchd(self.label, self.path, self.domain, self.launchctl, **options)
        if self.is_on():  # the same answers without a process for each question; test_launchd_service.py has those
            service.launchctl.run = lambda *arguments: Answer(*self.run(*arguments))
        return service

    def ensure(self, state="started", content=None, check=False, **options):
        return converge(self.service(**options), state, content, check=check, log_file=self.plan["server"]["log_file"])

    def servers(self):
        mine = "XPC_SERVICE_NAME", self.label
        found = processes.find(lambda p: p.has_environment(*mine) and p.has_environment("HOME", self.root))
        return [process.pid for process in found]

    def starts(self):
        """How often the job's program has been started."""
        with open(self.log, encoding="utf-8") as stream:
            return stream.read().count("started as")

    def verbs(self):
        """The verbs that reached launchctl, without the looks."""
        return [call[0] for call in self.calls() if call[0] not in LOOKS]
