# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""An agent lives in its user's session at the screen: it ends with that, and comes back with the next."""

from support.provisioned_mac import WATCHDOG

NO_SERVICE, NO_DOMAIN = 113, 112


def test_it_ends_at_logout_and_serves_after_the_next_login(serving):
    serving.simulator.logout(serving.uid)
    assert serving.simulator.run("print", serving.domain)[0] == NO_DOMAIN
    assert serving.servers() == []
    serving.simulator.login(serving.uid)
    assert serving.is_well()
    assert serving.pid(WATCHDOG)


def test_after_a_reboot_it_waits_for_the_login(serving):
    serving.simulator.reboot()
    assert serving.simulator.run("print", serving.target())[0] == NO_SERVICE
    assert serving.servers() == []
    serving.simulator.login(serving.uid)
    assert serving.is_well()
    assert serving.pid(WATCHDOG)


def test_stopped_it_serves_again_after_a_reboot(serving):
    assert serving.command("llm-manager", "stop").returncode == 0
    serving.simulator.reboot()
    serving.simulator.login(serving.uid)
    assert serving.is_well()
