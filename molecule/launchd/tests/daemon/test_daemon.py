# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service in scope system: moved there from its user's session, and independent of any."""

import os
import plistlib

import pytest
from support.provisioned_mac import SERVER, WATCHDOG

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the domain system belongs to root")
LABELS = [SERVER, WATCHDOG]
AGENTS = "gui/%d" % (os.getuid() or 501)
NO_SERVICE, NO_DOMAIN = 113, 112


@pytest.fixture
def daemon(mac):
    mac.be_a_daemon()
    assert mac.is_well()
    return mac


def test_what_served_had_ended_before_its_successor_began(daemon):
    changes = [call[:2] for call in daemon.simulator.calls() if call[0] in ("bootout", "bootstrap")]
    agents = ["bootout", daemon.target(WATCHDOG, AGENTS)], ["bootout", daemon.target(SERVER, AGENTS)]
    first = len(changes) - changes[::-1].index(agents[0]) - 1
    assert changes[first : first + 3] == [*agents, ["bootstrap", "system"]]


def test_what_it_prints_is_written_by_itself(daemon):
    """launchd, which is root, opens nothing in a directory of the user."""
    assert "StandardErrorPath" not in plistlib.loads(daemon.plist().read_bytes())
    assert (daemon.install / "logs" / "service.log").exists()
    assert list((daemon.directory / "etc" / "newsyslog.d").iterdir()) == []


@pytest.mark.parametrize("label", LABELS)
def test_it_is_loaded_in_the_domain_system_and_in_no_other(daemon, label):
    assert daemon.job(label).path == str(daemon.plist(label))
    for domain in ("gui/%d" % daemon.uid, "user/%d" % daemon.uid):
        assert daemon.simulator.run("print", daemon.target(label, domain))[0] == NO_SERVICE


def test_no_plist_of_the_agent_is_left(daemon):
    assert list((daemon.home / "Library" / "LaunchAgents").iterdir()) == []


def test_the_plist_belongs_to_root_and_names_an_ordinary_user(daemon):
    found = daemon.plist().stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o644)
    keys = plistlib.loads(daemon.plist().read_bytes())
    assert keys["UserName"]
    assert keys["EnvironmentVariables"]["HOME"] == str(daemon.home)


def test_it_serves_after_a_reboot_that_nobody_attended(daemon):
    pid = daemon.pid()
    daemon.simulator.reboot()
    assert daemon.is_well()
    assert daemon.pid() != pid
    assert daemon.simulator.run("print", "gui/%d" % daemon.uid)[0] == NO_DOMAIN


def test_sessions_do_not_concern_it(daemon):
    pid = daemon.pid()
    daemon.simulator.login(daemon.uid)
    daemon.simulator.logout(daemon.uid)
    assert daemon.pid() == pid
    daemon.simulator.login(daemon.uid)
    assert daemon.is_well()
