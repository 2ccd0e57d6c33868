# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the commands are configured with, or told, is a number that can be computed with, or is refused in a line."""

import argparse
import json
import math

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog import settings_from
from support.commands import TOOLS


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[]",
        b'"x"',
        b'{"server": [1]}',
        b'{"watchdog": {"interval": 1e999}}',
        b'{"a": 1, "a": 1}',
        b"\xff",
    ],
    ids=lambda content: ascii(content)[:30],
)
def test_a_damaged_configuration_is_told_in_a_line(tmp_path, content):
    from llm_tools.environment import CONFIG_VARIABLE, Environment, UsageError

    path = tmp_path / "client.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is damaged") as error:
        Environment("llm", {CONFIG_VARIABLE: str(path)}).section("server")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["interval", "answer_seconds", "load_seconds", "stall_seconds", "idle_unload_seconds"])
@pytest.mark.parametrize("value", [math.inf, math.nan, 1e12, 10**30, 1e-300, 0], ids=str)
def test_the_watchdog_waits_for_no_time_that_cannot_be_waited_for(name, value):
    with pytest.raises(LlamaCppError, match=rf"watchdog\.{name}"):
        settings_from({name: value})


@pytest.mark.parametrize("value", [3.0, 10**30, 0], ids=str)
def test_a_count_is_a_whole_number_within_bounds(value):
    with pytest.raises(LlamaCppError, match=r"watchdog\.looks"):
        settings_from({"looks": value})


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "-inf"])
def test_numbers_of_the_command_line(text):
    from llm_tools.arguments import number, seconds

    for kind in (number, seconds):
        with pytest.raises(argparse.ArgumentTypeError):
            kind(text)
    with pytest.raises(argparse.ArgumentTypeError):
        seconds("1e7")


def test_a_schema_that_is_nested_too_deep_is_no_exception():
    from llm_tools.environment import UsageError
    from llm_tools.llm.ask import read_schema

    assert read_schema('{"type": "object"}') == json.loads('{"type": "object"}')
    with pytest.raises(UsageError, match="not JSON"):
        read_schema('{"a":' * 100_000)
