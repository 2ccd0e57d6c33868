# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What keeps a service on a Mac from being there, from the recorded words of Apple's programs."""

import plistlib

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import power as mac_power
from support.macos import outputs
from support.recorded_programs import recorded_program

READY = mac_power.Power(False, mac_power.parse_sources(outputs.CUSTOM_SERVER), False, None)


def commands(sentences):
    """The commands and settings that the sentences name, as one text."""
    return "\n".join(sentences)


def read(
    tmp_path, custom=outputs.CUSTOM_DESKTOP, live=outputs.PMSET_MINI, filevault=("FileVault is Off.\n", 0), login=None
):
    settings = tmp_path / "com.apple.loginwindow.plist"
    settings.write_bytes(plistlib.dumps(login or {"lastUser": "loggedIn"}, fmt=plistlib.FMT_BINARY))
    return mac_power.read_power(
        pmset=recorded_program(tmp_path / "pmset", {"-g custom": custom, "-g": live}),
        fdesetup=recorded_program(tmp_path / "fdesetup", {"status": filevault}),
        login_window=str(settings),
    )


@pytest.mark.parametrize("text", outputs.FILEVAULT)
def test_whether_the_disk_is_locked_at_the_next_start(text):
    assert mac_power.parse_filevault(text) is outputs.FILEVAULT[text]


def test_the_exit_status_of_fdesetup_is_not_what_counts(tmp_path):
    assert read(tmp_path, filevault=("FileVault is Off.\n", 1)).filevault is False


def test_settings_of_each_power_source():
    laptop = mac_power.parse_sources(outputs.CUSTOM_LAPTOP)
    assert set(laptop) == {"AC Power", "Battery Power"}
    assert laptop["Battery Power"]["displaysleep"] == 2 and laptop["AC Power"]["displaysleep"] == 10
    desktop = mac_power.parse_sources(outputs.CUSTOM_DESKTOP)
    assert desktop["AC Power"]["sleep"] == 10 and desktop["AC Power"]["autorestart"] == 0
    assert "hibernatefile" not in desktop["AC Power"] and "Sleep" not in desktop["AC Power"]


def test_settings_separated_by_tabs_and_with_notes_behind_them():
    text = "AC Power:\n sleep\t\t10 (sleep prevented by powerd)\n autorestart\t1\n"
    assert mac_power.parse_sources(text) == {"AC Power": {"sleep": 10, "autorestart": 1}}


@pytest.mark.parametrize(("live", "disabled"), [(outputs.PMSET_MINI, False), (outputs.PMSET_SLEEP_DISABLED, True)])
def test_sleep_that_is_switched_off_altogether(tmp_path, live, disabled):
    assert read(tmp_path, live=live).sleep_disabled is disabled


def test_who_is_logged_in_at_boot(tmp_path):
    assert read(tmp_path).automatic_login is None
    assert read(tmp_path, login={"autoLoginUser": "sam"}).automatic_login == "sam"


def test_what_cannot_be_read_is_unknown_and_said(tmp_path):
    missing = str(tmp_path / "missing")
    power = mac_power.read_power(missing, missing, missing)
    assert power == (None, None, False, None)
    told = commands(mac_power.advice(power, "system", "sam"))
    assert "fdesetup status" in told and "pmset -g custom" in told


def test_a_damaged_settings_file_is_unknown(tmp_path):
    (tmp_path / "plist").write_bytes(b"bplist00 and no more")
    assert mac_power.read_power("/none", "/none", str(tmp_path / "plist")).automatic_login is None


class TestAdvice:
    def test_a_server_needs_none(self):
        assert mac_power.advice(READY, "system", "sam") == []

    def test_a_mac_as_it_comes(self, tmp_path):
        told = commands(mac_power.advice(read(tmp_path), "system", "sam"))
        assert "sudo pmset -a autorestart 1" in told
        assert "10 min" in told and "service.keep_awake" in told and "sudo pmset -c sleep 0" in told
        assert "fdesetup" not in told and "lid" not in told

    def test_sleep_is_no_matter_when_the_service_holds_the_mac_awake(self, tmp_path):
        power = read(tmp_path)._replace(automatic_login="sam", filevault=False)
        (told,) = mac_power.advice(power, "user", "sam", keep_awake=True)
        assert "autorestart" in told

    def test_for_a_daemon_the_play_itself_sees_to_the_start_after_a_power_failure(self, tmp_path):
        assert mac_power.advice(read(tmp_path), "system", "sam", keep_awake=True) == []

    def test_sleep_is_no_matter_when_it_is_switched_off(self, tmp_path):
        (told,) = mac_power.advice(read(tmp_path, live=outputs.PMSET_SLEEP_DISABLED), "system", "sam")
        assert "autorestart" in told

    def test_a_locked_disk(self):
        (told,) = mac_power.advice(READY._replace(filevault=True), "system", "sam")
        assert "sudo fdesetup authrestart" in told and "SSH" in told

    def test_a_laptop_has_a_lid_and_cannot_start_by_itself(self):
        power = READY._replace(sources=mac_power.parse_sources(outputs.CUSTOM_LAPTOP))
        told = commands(mac_power.advice(power, "system", "sam", keep_awake=True))
        assert "sudo pmset -a disablesleep 1" in told and "autorestart" not in told

    @pytest.mark.parametrize(
        ("automatic_login", "filevault", "warned"),
        [(None, False, True), ("kim", False, True), ("sam", False, False), ("sam", True, True)],
    )
    def test_an_agent_waits_for_a_login(self, automatic_login, filevault, warned):
        power = READY._replace(automatic_login=automatic_login, filevault=filevault)
        assert ("service.scope" in commands(mac_power.advice(power, "user", "sam"))) is warned
        assert "service.scope" not in commands(mac_power.advice(power, "system", "sam"))
