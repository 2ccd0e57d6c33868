# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Each thing that keeps a Mac from building the engine has its own sentence."""

import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import toolchain
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.hardware import Hardware
from support.recorded_programs import recorded_program

APPLE_SILICON = Hardware("Apple M1 Max", 64 * 2**30, 8, 0, 0)
INTEL = Hardware("Intel(R) Core(TM) i7", 32 * 2**30, None, None, None)

# xcode-select where there is no developer directory; the exit status alone is what counts.
NO_DIRECTORY = "xcode-select: error: unable to get active developer directory\n"


class Mac:
    """A Mac that can build, until something is changed; ``problems()`` is what the check then says."""

    def __init__(self, directory):
        self._directory = directory
        self.tools = directory / "Command Line Tools"
        mark = self.tools / toolchain.MARK
        mark.parent.mkdir(parents=True)
        mark.touch()
        self.xcode_select(f"{self.tools}\n")
        self.cmake("3.31.6", "x86_64 arm64")

    def xcode_select(self, output, status=0):
        self._select = recorded_program(self._directory / "xcode-select", {"-p": (output, status)})

    def cmake(self, version, architectures):
        path = self._directory / "cmake"
        self._cmake = recorded_program(path, {"--version": f"cmake version {version}\n\nCMake suite …\n"})
        answer = f"{architectures}\n" if architectures else ("", 1)
        self._lipo = recorded_program(self._directory / "lipo", {f"-archs {os.path.realpath(path)}": answer})

    def problems(self, hardware=APPLE_SILICON, cmake=True, **options):
        where = str(self._directory / "not there" / "yet")
        return toolchain.problems(hardware, where, self._cmake if cmake else None, self._select, self._lipo, **options)


@pytest.fixture
def mac(tmp_path):
    return Mac(tmp_path)


@pytest.mark.parametrize("hardware", [APPLE_SILICON, INTEL])
def test_a_mac_that_can_build(mac, hardware):
    assert mac.problems(hardware) == [] and mac.problems(hardware, cmake=False) == []


@pytest.mark.parametrize("answer", [(NO_DIRECTORY, 2), ("/Library/Developer/CommandLineTools\n", 0), ("\n", 0)])
def test_without_the_command_line_tools(mac, answer):
    mac.xcode_select(*answer)
    (told,) = mac.problems()
    assert told.endswith(": xcode-select --install")


def test_tools_that_the_play_installs_are_no_problem(mac):
    mac.xcode_select(NO_DIRECTORY, 2)
    assert mac.problems(tools=False) == []


def test_tools_that_are_not_whole(mac):
    (mac.tools / toolchain.MARK).unlink()
    assert len(mac.problems()) == 1


def test_where_the_tools_are(mac):
    assert toolchain.developer_directory(mac._select) == str(mac.tools)
    assert toolchain.developer_directory("/nowhere/xcode-select") is None


def test_python_under_rosetta(mac):
    (told,) = mac.problems(APPLE_SILICON._replace(translated=1))
    assert "Rosetta" in told and "ansible_python_interpreter" in told


@pytest.mark.parametrize(("version", "old"), [("3.14.0", True), ("3.17.5", True), ("3.18.0", False), ("4.0.3", False)])
def test_an_old_cmake(mac, version, old):
    mac.cmake(version, "arm64")
    assert [("needs 3.18" in told) for told in mac.problems()] == [True] * old


@pytest.mark.parametrize(
    ("architectures", "wrong"), [("x86_64", True), ("arm64", False), ("x86_64 arm64", False), (None, False)]
)
def test_a_cmake_for_intel(mac, architectures, wrong):
    mac.cmake("3.31.6", architectures)
    assert [("Intel" in told) for told in mac.problems()] == [True] * wrong
    assert mac.problems(INTEL) == []


def test_a_full_disk(mac, monkeypatch):
    monkeypatch.setattr(toolchain, "NEEDED_DISK", 2**62)
    (told,) = mac.problems()
    assert "free in" in told
