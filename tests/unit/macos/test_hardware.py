# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a Mac is made of, and how much of its memory Metal may use."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.units import GIB, MIB
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import hardware as mac_hardware
from support.macos import outputs
from support.recorded_programs import recorded_sysctl


def hardware(tmp_path, recorded=outputs.M1_MAX_64, **changes):
    values = {**recorded, **{mac_hardware.NAMES[field]: value for field, value in changes.items()}}
    return mac_hardware.read_hardware(recorded_sysctl(tmp_path / "sysctl", values))


def test_apple_silicon(tmp_path):
    assert hardware(tmp_path) == ("Apple M1 Max", 64 * GIB, 8, 0, 0)


def test_what_an_intel_mac_does_not_know_is_none(tmp_path):
    found = hardware(tmp_path, outputs.INTEL)
    assert found.chip.startswith("Intel") and found.memory == 32 * GIB
    assert (found.performance_cores, found.translated, found.wired_limit_mb) == (None, None, None)


def test_without_sysctl_nothing_is_known(tmp_path):
    assert set(mac_hardware.read_hardware(str(tmp_path / "none"))) == {None}


def test_a_value_that_is_no_number_is_unknown(tmp_path):
    assert hardware(tmp_path, memory="much").memory is None


def test_memory_of_a_reported_device():
    line = "Apple M4 Max (98304 MiB, 98303 MiB free)"
    assert line in outputs.DEVICES_M4_MAX and mac_hardware.reported_memory(line) == 98304 * MIB
    assert mac_hardware.reported_memory("Accelerate (0 MiB, 0 MiB free)") is None
    assert mac_hardware.reported_memory(None) is None


@pytest.mark.parametrize(("total", "allowed"), outputs.METAL_CEILINGS)
def test_the_rule_of_thumb_promises_no_more_than_metal_allowed(total, allowed):
    guessed = mac_hardware.stock_ceiling(total * MIB)
    assert 0.75 * allowed <= guessed // MIB <= allowed
    assert mac_hardware.highest_wired_limit_mb(total * MIB) > allowed


@pytest.mark.parametrize("gib", [8, 16, 18, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512])
def test_macos_keeps_enough(gib):
    highest = mac_hardware.highest_wired_limit_mb(gib * GIB)
    stock = mac_hardware.stock_ceiling(gib * GIB) // MIB
    assert stock <= highest < gib * 1024
    assert gib == 8 or 4096 <= gib * 1024 - highest <= 16384


def test_the_highest_limits_are_those_that_people_run():
    assert mac_hardware.highest_wired_limit_mb(128 * GIB) == 114688  # antirez/ds4#893, phatblat/dotfiles#332
    assert mac_hardware.highest_wired_limit_mb(96 * GIB) == 86016


@pytest.mark.parametrize("wanted", [1, 49152, 57344])
def test_a_safe_limit_is_accepted(tmp_path, wanted):
    mac_hardware.check_wired_limit(wanted, hardware(tmp_path))


@pytest.mark.parametrize("wanted", [-1, 0, 57345, 65536, 458752])  # the last: gigabytes taken for something else
def test_an_unsafe_limit_is_refused(tmp_path, wanted):
    with pytest.raises(LlamaCppError, match=f"{wanted}.*1 to 57344"):
        mac_hardware.check_wired_limit(wanted, hardware(tmp_path))


def test_a_mac_without_the_setting_refuses_any_limit(tmp_path):
    with pytest.raises(LlamaCppError, match="sysctl on this host knows no"):
        mac_hardware.check_wired_limit(8192, hardware(tmp_path, outputs.INTEL))


class TestRoom:
    def test_the_engine_knows_best(self, tmp_path):
        found = hardware(tmp_path, wired_limit_mb=50000)
        room = mac_hardware.metal_room(found, "Apple M1 Max (49999 MiB, 49999 MiB free)")
        assert (room.bytes, room.total) == (49999 * MIB, 64 * GIB)

    def test_before_there_is_an_engine_the_limit_in_force_counts(self, tmp_path):
        assert mac_hardware.metal_room(hardware(tmp_path, wired_limit_mb=50000)).bytes == 50000 * MIB

    def test_or_else_the_rule_of_thumb_which_is_called_that(self, tmp_path):
        room = mac_hardware.metal_room(hardware(tmp_path))
        assert room.bytes == 48 * GIB and "rule of thumb" in room.where

    def test_a_limit_that_is_about_to_be_set_wins(self, tmp_path):
        room = mac_hardware.metal_room(hardware(tmp_path), "Apple M1 Max (49152 MiB, 49151 MiB free)", 57344)
        assert room.bytes == 56 * GIB

    def test_how_far_it_could_be_raised(self, tmp_path):
        assert mac_hardware.metal_room(hardware(tmp_path)).highest == 56 * GIB
        intel = mac_hardware.metal_room(hardware(tmp_path, outputs.INTEL))
        assert intel.highest == intel.bytes

    def test_a_host_that_computes_on_its_cpu_has_all_its_memory(self):
        assert mac_hardware.host_room(16 * GIB)[:2] == (16 * GIB, 16 * GIB)
