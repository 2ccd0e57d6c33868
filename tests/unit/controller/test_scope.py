# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the scope of the service means: an agent of a user, or a daemon that runs as one."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from support.paths import REPOSITORY

CATALOG = json.loads((REPOSITORY / "config" / "model_catalog.json").read_text())["models"]
MAC = {"system": "Darwin", "architecture": "arm64", "home": "/Users/sam", "user": "sam", "uid": 501}
AGENT = {
    "scope": "user",
    "domains": ["gui/501", "user/501"],
    "directory": "/Users/sam/Library/LaunchAgents",
}
DAEMON = {"scope": "system", "domains": ["system"], "directory": "/Library/LaunchDaemons"}


def resolve(service, host=MAC):
    config = {"models": {"tiny": {"url": "https://models.example/tiny.gguf"}}, "service": service}
    checked = rules.checked(config, load.load_schema(), CATALOG, "test")
    return plan.resolve(checked, CATALOG, {}, host)


def directories(found):
    return {entry["path"] for entry in found["service"]["directories"]}


@pytest.mark.parametrize(("here", "elsewhere"), [(AGENT, DAEMON), (DAEMON, AGENT)], ids=["user", "system"])
def test_where_the_jobs_live_and_where_they_came_from(here, elsewhere):
    found = resolve({"scope": here["scope"]})
    assert {key: found["service"][key] for key in here} == here
    assert found["service"]["elsewhere"] == elsewhere
    assert found["service"]["definition"] == here["directory"] + "/com.llama.server.plist"
    assert found["watchdog"]["definition"] == here["directory"] + "/com.llama.watchdog.plist"
    assert found["service"]["user"] == "sam"


def test_the_files_are_the_users_in_both_scopes():
    user, system = resolve({}), resolve({"scope": "system"})
    assert system["paths"] == user["paths"] and system["server"] == user["server"]
    assert directories(user) - directories(system) == {AGENT["directory"]}, "what is root's is not made"


def test_the_places_of_root_can_be_others():
    host = {**MAC, "daemons_dir": "/mac/daemons", "newsyslog_dir": "/mac/newsyslog"}
    found = resolve({"scope": "system"}, host)["service"]
    assert found["definition"] == "/mac/daemons/com.llama.server.plist"
    assert found["newsyslog"] == "/mac/newsyslog/com.llama.server.conf"
    assert [daemon["plist"] for daemon in found["daemons"]] == [
        "/mac/daemons/com.llama.watchdog.plist",
        "/mac/daemons/com.llama.server.plist",
    ]
    assert resolve({}, host)["service"]["elsewhere"]["directory"] == "/mac/daemons"


def test_the_user_of_the_service_may_be_named():
    assert resolve({"scope": "system", "user": "sam"})["service"]["user"] == "sam"


@pytest.mark.parametrize("scope", ["user", "system"])
def test_another_user_is_refused_with_the_way_to_work_as_that_one(scope):
    with pytest.raises(LlamaCppError, match=r'service\.user: "llama" .*"sam".*--become --become-user llama$'):
        resolve({"scope": scope, "user": "llama"})


def test_a_daemon_never_runs_as_root():
    root = {**MAC, "user": "root", "uid": "0", "home": "/var/root"}
    with pytest.raises(LlamaCppError, match=r'service\.scope: "system".*ordinary user.*root.*--become-user'):
        resolve({"scope": "system"}, root)
    assert resolve({}, root)["service"]["scope"] == "user"


@pytest.mark.parametrize("system", ["Darwin", "Linux"])
def test_supervisor_has_no_such_scope(system):
    with pytest.raises(LlamaCppError, match=r'service\.scope: "system".*expected: "user"'):
        resolve({"scope": "system", "manager": "supervisor"}, {**MAC, "system": system})


def test_elsewhere_than_on_a_mac_there_is_no_place_of_launchd():
    found = resolve({}, {**MAC, "system": "Linux"})["service"]
    assert not {"domains", "elsewhere", "newsyslog"} & set(found)
