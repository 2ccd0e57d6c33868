# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where the jobs of a user are found on a simulated Mac, and where they are to go."""

import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.domains import domain_of, jobs_of
from ansible_collections.macos_setup.llm.plugins.module_utils.service.launchd.launchctl import Launchctl
from support.launchd_host import UID, LaunchdHost
from support.modules import run_module

pytestmark = pytest.mark.processes

GUI, USER = "gui/%d" % UID, "user/%d" % UID
LABELS = ["com.llama.server", "com.llama.watchdog"]

as_root = pytest.mark.skipif(UID != 0, reason="the domain system belongs to root")


@pytest.fixture
def host(request):
    domain = getattr(request, "param", USER)
    with tempfile.TemporaryDirectory() as directory, LaunchdHost(os.path.realpath(directory), domain) as host:
        yield host


def domain(host):
    return domain_of(Launchctl(host.launchctl), LABELS, [GUI, USER])


def found(host, home=None):
    return jobs_of(Launchctl(host.launchctl), LABELS, [host.domain], host.folder, home or host.root)


def test_a_login_at_the_screen_decides_where_a_job_goes(host):
    assert domain(host) == USER
    host.login(UID)
    assert domain(host) == GUI
    host.logout(UID)
    assert domain(host) == USER


def test_a_job_that_runs_stays_where_it_is(host):
    pid = host.ensure(content=host.content())["pid"]
    host.login(UID)
    assert domain(host) == USER and host.servers() == [pid], "the login started no second one"
    host.ensure("stopped")
    assert domain(host) == GUI


def test_a_job_of_the_screen_is_looked_for_there_even_when_another_label_runs(host):
    other = Path(host.path).with_name(LABELS[1] + ".plist")
    other.parent.mkdir(parents=True)
    other.write_text(host.content().replace(LABELS[0], LABELS[1]))
    host.run("bootstrap", USER, str(other))
    host.login(UID)
    assert domain(host) == USER


def test_a_single_domain_is_meant_as_it_is_without_a_look(host):
    assert domain_of(Launchctl("/no/such/launchctl"), LABELS, [USER]) == USER
    with pytest.raises(LlamaCppError, match="login/5"):
        domain_of(Launchctl(host.launchctl), LABELS, ["login/5"])


def test_where_there_is_no_launchctl_the_first_wish_holds_and_nothing_is_found(tmp_path):
    launchctl = Launchctl(str(tmp_path / "launchctl"))
    assert domain_of(launchctl, LABELS, [GUI, USER]) == GUI
    assert jobs_of(launchctl, LABELS, ["system"], str(tmp_path), "/Users/sam") == []


@pytest.mark.parametrize("host", [USER, pytest.param("system", marks=as_root)], indirect=True)
def test_jobs_are_found_loaded_or_not(host):
    job = {"label": host.label, "plist": host.path, "domain": host.domain}
    assert found(host) == []
    host.ensure(content=host.content())
    assert found(host) == [job]
    host.ensure("stopped")
    assert found(host) == [job]
    host.ensure()
    os.unlink(host.path)
    assert found(host) == [job], "it runs, though its plist is gone"
    host.ensure("absent")
    assert found(host) == []


def test_the_job_of_another_user_is_left_alone(host):
    host.ensure(content=host.content())
    assert found(host, home="/Users/eve") == []


def test_a_plist_that_nobody_can_read_is_nobodys(host):
    os.makedirs(host.path)
    assert found(host) == []


def test_the_module_tells_which_jobs_are_where_they_are_not_to_be(host):
    host.ensure(content=host.content())
    launchd = {
        "launchctl": host.launchctl,
        "labels": LABELS,
        "home": host.root,
        "elsewhere": {"domains": [GUI, USER], "directory": host.folder},
    }
    for check in (False, True):
        result = run_module("host_info", {"manifest": "/x/manifest.json", "launchd": launchd}, check=check)
        assert not result["changed"]
        assert result["elsewhere"] == [{"label": host.label, "plist": host.path, "domain": USER}]
    assert host.verbs() == ["enable", "bootstrap"], "only looked at"


def test_without_launchd_nothing_is_told_of_it():
    assert "elsewhere" not in run_module("host_info", {"manifest": "/x/manifest.json"})
