# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The whole role on a simulated Mac: as an agent, as a daemon, and from one to the other, with a real server."""

import json
import os
import plistlib
import stat

import pytest
from support.launchctl_simulator.control import Simulator
from support.paths import REPOSITORY
from support.plays import processes_below, recap

PLAYBOOK = REPOSITORY / "tests" / "support" / "macos" / "playbook.yml"
JOBS = ["com.llama.server", "com.llama.watchdog"]
UID = 501
#: The stages that the scope concerns; the others have done their work with the first play.
SERVICE = ["--tags", "llm_service,llm_tools"]

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the domain system belongs to root")


class Mac(Simulator):
    """A simulated Mac and the plays on it. ``host`` is the directory that stands for it."""

    def __init__(self, host):
        super().__init__(host.directory / "mac")
        self.host = host
        self.home = host.directory / "Users" / "sam"
        self.agents = self.home / "Library" / "LaunchAgents"
        self.daemons = host.directory / "LaunchDaemons"
        self.newsyslog = host.directory / "newsyslog.d"
        for directory in (self.home, self.daemons, self.newsyslog):
            directory.mkdir(parents=True)
        host.config["llm_settings"]["metal_acceleration"] = False

    def start(self):
        super().start()
        self.set(agents={str(UID): [str(self.agents)]}, daemons=[str(self.daemons)])

    def play(self, scope, *arguments, expect=0):
        """Run the role; returns its output."""
        self.host.config["service"] = {"scope": scope}
        variables = {
            "mac_home": str(self.home),
            "mac_uid": UID,
            "llama_cpp_launchctl": self.launchctl,
            "llama_cpp_daemons_dir": str(self.daemons),
            "llama_cpp_newsyslog_dir": str(self.newsyslog),
        }
        return self.host.play("-e", json.dumps(variables), *arguments, playbook=PLAYBOOK, expect=expect)

    def loaded(self):
        """The domains of our jobs, as launchd has them."""
        domains = ("system", f"gui/{UID}", f"user/{UID}")
        return {
            domain: jobs
            for domain in domains
            if (jobs := [j for j in JOBS if not self.run("print", f"{domain}/{j}")[0]])
        }

    def serves(self, domain, plists):
        """Whether both jobs are in ``domain`` and in the directory ``plists`` alone, and the server answers."""
        everywhere = sorted([*self.agents.glob("*"), *self.daemons.glob("*")])
        assert self.loaded() == {domain: JOBS}
        assert everywhere == [plists / f"{job}.plist" for job in JOBS]
        client = json.loads((self.host.install / "tools" / "client.json").read_text())
        assert client["service"]["domain"] == domain
        assert client["service"]["definition"] == str(plists / "com.llama.server.plist")
        status = self.host.run("llm-manager", "status")
        return status.returncode == 0 and self.host.answers()

    def key(self, name, plists):
        return plistlib.loads((plists / "com.llama.server.plist").read_bytes()).get(name)


@pytest.fixture
def mac(host):
    with Mac(host) as mac:
        yield mac


def test_from_an_agent_to_a_daemon_and_back(mac):
    mac.login(UID)
    mac.play("user")
    assert mac.serves(f"gui/{UID}", mac.agents)
    assert not list(mac.newsyslog.iterdir())

    # launchd refuses the daemon: what served serves on
    mac.fail("bootstrap", 109)
    output = mac.play("system", *SERVICE, expect=2)
    assert "109, Invalid property list" in output
    assert 'The service stays in scope "user", and what ran there runs again.' in output
    assert mac.serves(f"gui/{UID}", mac.agents)

    seen = len(mac.calls())
    mac.play("system", *SERVICE)
    assert mac.serves("system", mac.daemons)
    order = [call[:2] for call in mac.calls()[seen:] if call[0] in ("bootout", "bootstrap")]
    assert order[:3] == [
        [verb, target]
        for verb, target in (
            ("bootout", f"gui/{UID}/com.llama.watchdog"),
            ("bootout", f"gui/{UID}/com.llama.server"),
            ("bootstrap", "system"),
        )
    ]
    assert mac.key("UserName", mac.daemons) == os.environ.get("USER", "root")
    found = (mac.daemons / "com.llama.server.plist").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, 0o644)
    entry = (mac.newsyslog / "com.llama.server.conf").read_text().splitlines()[-1].split()
    assert entry[0] == str(mac.host.install / "logs" / "service.log") and entry[-1] == "N"
    assert recap(mac.play("system", *SERVICE))["changed"] == 0

    mac.reboot()  # and nobody logs in
    assert mac.host.run("llm", "health", "--wait", "60", timeout=90).returncode == 0
    assert mac.serves("system", mac.daemons)

    mac.play("user", *SERVICE)
    assert mac.serves(f"user/{UID}", mac.agents), "nobody is logged in at the screen"
    assert mac.key("LimitLoadToSessionType", mac.agents) == "Background"
    assert not list(mac.newsyslog.iterdir())
    mac.stop()
    assert not processes_below(mac.host.directory)
