# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module that changes a Mac itself, run as Ansible runs it, against a Mac that can be changed."""

import os
from pathlib import Path

import pytest
from support.macos import outputs
from support.macos.settable import LIMIT, SettableMac
from support.modules import run_module
from support.service_plan import render

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the plist of a daemon belongs to root")

LABEL = "com.llama.wired-limit"


class Mac(SettableMac):
    """What the module does to one."""

    def __init__(self, directory):
        super().__init__(directory)
        self.plist = directory / "LaunchDaemons" / f"{LABEL}.plist"
        self.record = directory / "Application Support" / "macos_setup.llm" / "settings.json"

    def run(self, limit=0, check=False, diff=False, **further):
        paths = {"plist": self.plist, "record": self.record, "sysctl": self.sysctl, "pmset": self.pmset}
        arguments = {**{name: str(path) for name, path in paths.items()}, **further}
        if limit:
            managed_by = "Managed by macos_setup.llm."
            arguments["content"] = render(f"{LABEL}.plist.j2", None, managed_by, wired_limit_mb=limit)
        return run_module("mac_settings", {"wired_limit_mb": limit, **arguments}, check=check, diff=diff)


@pytest.fixture
def mac(tmp_path):
    return Mac(tmp_path)


CASES = {
    "raise the limit": {"limit": 49152},
    "raise it further": {"limit": 57344},
    "start again after a power failure": {"limit": 57344, "autorestart": True},
    "give the limit back": {"autorestart": True},
    "give everything back": {},
}


def test_each_change_is_announced_made_and_then_over(mac):
    """check, real, check, real."""
    for case, wanted in CASES.items():
        answers = [mac.run(check=check, **wanted) for check in (True, False, True, False)]
        assert [answer.get("changed") for answer in answers] == [True, True, False, False], (case, answers)
    assert mac.told == [
        "sysctl iogpu.wired_limit_mb=49152",
        "sysctl iogpu.wired_limit_mb=57344",
        "pmset -a autorestart 1",
        "sysctl iogpu.wired_limit_mb=0",
        "pmset -a autorestart 0",
    ]
    assert mac.power.read_text() == outputs.CUSTOM_DESKTOP
    assert not mac.plist.exists() and os.listdir(mac.plist.parent) == []
    assert not mac.record.parent.exists()


def test_it_holds_now_and_at_the_next_boot(mac):
    mac.run(limit=57344)
    found = mac.plist.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, 0o644)
    assert f"{LIMIT}=57344" in mac.plist.read_text() and mac.limit.read_text() == "57344\n"


def test_what_a_restart_or_somebody_has_undone_is_put_right(mac):
    mac.run(limit=57344)
    mac.limit.write_text("0\n")
    mac.plist.chmod(0o666)
    diff = mac.run(limit=57344, diff=True)["diff"]
    assert [(part["before"], part["after"]) for part in diff] == [
        ("uid 0 gid 0 mode 0666\n", "uid 0 gid 0 mode 0644\n"),
        ("0\n", "57344\n"),
    ]
    assert mac.limit.read_text() == "57344\n" and not mac.run(limit=57344)["changed"]


def test_a_limit_of_the_owner_is_left_alone(mac):
    mac.limit.write_text("40000\n")
    mac.plist.parent.mkdir()
    for content in (None, "<plist>theirs</plist>"):
        if content:
            mac.plist.write_text(content)
        assert mac.run()["changed"] is False
    assert mac.limit.read_text() == "40000\n" and mac.plist.exists()


def test_a_start_after_a_power_failure_that_the_owner_wanted_before_stays(mac):
    mac.power.write_text(outputs.CUSTOM_SERVER)
    assert [mac.run(autorestart=wanted)["changed"] for wanted in (True, False)] == [False, False]
    assert mac.told == []


def test_what_the_owner_has_turned_off_since_is_his_again(mac):
    mac.run(autorestart=True)
    mac.power.write_text(outputs.CUSTOM_DESKTOP)
    mac.run()
    mac.power.write_text(outputs.CUSTOM_SERVER)  # and on again, later
    assert mac.run()["changed"] is False and mac.power.read_text() == outputs.CUSTOM_SERVER


def test_what_is_turned_on_once_more_is_still_taken_back(mac):
    mac.run(autorestart=True)
    mac.power.write_text(outputs.CUSTOM_DESKTOP)
    assert mac.run(autorestart=True)["changed"] and mac.run()["changed"]
    assert mac.power.read_text() == outputs.CUSTOM_DESKTOP


def test_nothing_is_turned_on_that_cannot_be_noted(mac):
    (mac.directory / "nowhere").write_text("a file")
    result = mac.run(autorestart=True, record=str(mac.directory / "nowhere" / "settings.json"))
    assert result["failed"] and "nowhere" in result["msg"] and mac.told == []


def test_a_limit_that_is_too_high_changes_nothing(mac):
    result = mac.run(limit=65536)
    assert result["failed"] and "65536" in result["msg"] and "57344" in result["msg"]
    assert not mac.plist.exists() and mac.told == []


def test_a_laptop_has_no_such_power_setting(mac):
    mac.power.write_text(outputs.CUSTOM_LAPTOP)
    assert mac.run(autorestart=True)["changed"] is False


@pytest.mark.parametrize("program", ["sysctl", "pmset"])
def test_a_setting_that_does_not_take_effect_is_a_failure(mac, program):
    path = Path(getattr(mac, program))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], 'case "$1" in -g|-n) ;; *) exit 0;; esac', *lines[1:]]) + "\n")
    result = mac.run(limit=57344, autorestart=True)
    assert result["failed"] and "ended well" in result["msg"]


def test_a_refusal_is_told(mac):
    path = Path(mac.pmset)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '[ "$1" = -g ] || { echo must be root; exit 1; }', *lines[1:]]) + "\n")
    result = mac.run(autorestart=True)
    assert result["failed"] and "must be root" in result["msg"] and "become" in result["msg"]
