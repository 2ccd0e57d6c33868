# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module launchd_service, run as Ansible runs it, on a simulated Mac."""

import os
import tempfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from support.launchd_host import LaunchdHost
from support.modules import run_module

pytestmark = pytest.mark.processes


class Host(LaunchdHost):
    def run_module(self, state="started", check=False, diff=False, content=True, options=None, **service):
        text = self.content(**service)
        arguments = {
            "label": self.label,
            "plist": self.path,
            "domains": [self.domain],
            "state": state,
            "launchctl": self.launchctl,
            "settle": 0.1,
            "log_file": self.plan["server"]["log_file"],
            "progress_file": os.path.join(self.root, "progress.json"),
            **({"content": text} if content else {}),
            **(options or {}),
        }
        return run_module("launchd_service", arguments, check=check, diff=diff)


@pytest.fixture
def host():
    with tempfile.TemporaryDirectory(prefix="launchd & <co> ") as directory, Host(os.path.realpath(directory)) as host:
        yield host


CASES = {
    "start": ("started", {}, {}),
    "change": ("started", {"fingerprint": "e" * 64}, {}),
    "forbid the next automatic start": ("started", {}, {"enabled": False}),
    "stop": ("stopped", {}, {}),
    "change while stopped": ("stopped", {"stop_seconds": 3}, {}),
    "start again": ("started", {}, {"enabled": True}),
    "remove": ("absent", {}, {}),
}


def test_each_change_is_announced_made_and_then_over(host):
    """check, real, check, real: for every change in the life of a job."""
    for case, (state, service, options) in CASES.items():
        answers = [
            host.run_module(state, check=check, options=options, **service)["changed"]
            for check in (True, False, True, False)
        ]
        assert answers == [True, True, False, False], case


def test_the_result_tells_state_and_pid(host):
    result = host.run_module()
    assert result["state"] == {"before": "absent", "after": "running"} and processes.alive(result["pid"])
    assert result["step"] == "replace" and "diff" not in result


def test_the_diff_shows_plist_and_state(host):
    host.run_module()
    plist, state = host.run_module(diff=True, check=True, stop_seconds=17)["diff"]
    assert "<integer>2</integer>" in plist["before"] and "<integer>17</integer>" in plist["after"]
    assert (state["before"], state["after"]) == ("running\n", "running (restarted)\n")


def test_check_mode_on_a_host_without_launchctl(host):
    result = host.run_module(check=True, diff=True, options={"launchctl": "/no/such/launchctl"})
    assert result["changed"] and result["state"]["after"] == "running" and not os.path.exists(host.folder)


def test_failures_are_told_in_words(host):
    host.write_launcher('echo "error: cannot load model"; exit 1')
    for options, word in (
        ({}, "cannot load model"),
        ({"domains": ["login/5"]}, "login/5"),
        ({"launchctl": "/no/such/launchctl"}, "/no/such/launchctl"),
        ({"content": "no plist"}, "property list"),
        ({"label": "com.other"}, "com.other"),
    ):
        result = host.run_module(options=options)
        assert result["failed"] and word in result["msg"] and "Traceback" not in result["msg"], word


def test_a_job_without_a_plist_cannot_be_started(host):
    result = host.run_module(content=False)
    assert result["failed"] and host.path in result["msg"]


def test_the_manifest_leads_to_the_removal_of_the_job(host):
    """The plist in place, the job loaded: both go by the manifest alone, and a folder that was there stays."""
    os.makedirs(host.folder)
    manifest = os.path.join(host.root, "opt", "manifest.json")
    host.run_module(options={"manifest": manifest})
    (server,) = host.servers()
    arguments = {"manifest": manifest}
    answers = [run_module("uninstall", arguments, check=check)["changed"] for check in (True, False, True, False)]
    assert answers == [True, True, False, False]
    assert not processes.alive(server) and os.listdir(host.folder) == []
    assert not os.path.exists(os.path.join(host.root, "opt"))


def test_a_plist_without_the_mark_is_stopped_and_left(host):
    manifest = os.path.join(host.root, "opt", "manifest.json")
    host.run_module(options={"manifest": manifest})
    with open(host.path, encoding="utf-8") as stream:
        text = stream.read()
    with open(host.path, "w", encoding="utf-8") as stream:
        stream.write(text.replace("Managed by", "Formerly managed by"))
    result = run_module("uninstall", {"manifest": manifest})
    assert host.path in result["left"] and os.path.exists(host.path)
    assert host.servers() == []


# -- the domain ------------------------------------------------------------------------------------------------------


def test_a_job_goes_where_a_login_allows_it_and_stays_there(host):
    """With the session of its domain in the plist; what is one text for all of them is no reason for a restart."""
    user, gui = "user/%d" % os.getuid(), host.domain
    host.logout(os.getuid())
    told = []
    plan = host.plan["service"]["placeholders"]
    plan["session"] = "@SESSION@"
    for check in (True, False, True, False):
        result = host.run_module(check=check, options={"domains": [gui, user]})
        told.append((result["changed"], result["domain"]))
    assert told == [(True, user), (True, user), (False, user), (False, user)]
    with open(host.path, encoding="utf-8") as stream:
        assert "<string>Background</string>" in stream.read()
    host.login(os.getuid())
    assert host.run_module(options={"domains": [gui, user]})["changed"] is False
    host.run_module("stopped", options={"domains": [gui, user]})
    assert host.run_module(options={"domains": [gui, user]})["domain"] == gui
    with open(host.path, encoding="utf-8") as stream:
        assert "<string>Aqua</string>" in stream.read()


def test_a_single_domain_is_meant_as_it_is(host):
    host.logout(os.getuid())
    result = host.run_module()
    assert result["failed"] and host.domain in result["msg"]


def test_the_fingerprint_is_made_on_the_host(host):
    """Of what stands there: without one of the files that the server reads it is another."""
    host.plan["service"]["placeholders"]["fingerprint"] = "@FINGERPRINT@"
    model = os.path.join(host.root, "model.gguf")
    engine = os.path.join(host.root, "engine")
    settings = {"engine_dir": engine, "files": {}, "record": os.path.join(host.root, "record"), "keep_releases": 1}
    options = {"fingerprint": {"values": {"a": 1}, "files": [model]}}
    options["rollout"] = {**settings, "health": {"url": "http://127.0.0.1:9", "timeout": 1}}
    with open(model, "w", encoding="utf-8") as stream:
        stream.write("one")
    plist = host.run_module(check=True, diff=True, options=options)["diff"][0]["after"]
    assert "@" not in plist
    os.replace(model, model + ".old")
    assert host.run_module(check=True, diff=True, options=options)["diff"][0]["after"] != plist


def test_a_fingerprint_needs_to_be_told_the_release(host):
    result = host.run_module(options={"fingerprint": {"values": 1}})
    assert result["failed"] and "rollout" in result["msg"]


# -- what version 0.1.0 left -------------------------------------------------------------------------------------------


def newsyslog(host, text):
    path = os.path.join(host.root, "newsyslog.conf")
    if text is not None:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    return path


@pytest.mark.parametrize("state", ["started", "absent"])
def test_newsyslog_is_told_nothing_any_more(host, state):
    host.run_module()
    path = newsyslog(host, f"# {MANAGED_BY}\n")
    first = host.run_module(state, check=True, diff=True, options={"newsyslog": path})
    assert first["changed"]
    assert {"before_header": path, "before": f"# {MANAGED_BY}\n", "after": ""}.items() <= first["diff"][-1].items()
    assert os.path.exists(path)
    assert host.run_module(state, options={"newsyslog": path})["changed"]
    assert not os.path.exists(path)
    assert host.run_module(state, options={"newsyslog": path})["changed"] is False


@pytest.mark.parametrize("text", ["# Mine\n", None])
def test_what_somebody_else_tells_newsyslog_stays(host, text):
    host.run_module()
    path = newsyslog(host, text)
    assert host.run_module(options={"newsyslog": path})["changed"] is False
    assert os.path.exists(path) == (text is not None)
