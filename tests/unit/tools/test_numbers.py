# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the commands are configured with, or told, is a number that can be computed with, or is refused in a line."""

import argparse
import json
import math
import re

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.daemon import settings_from
from support.paths import REPOSITORY


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"[]",
        b'"x"',
        b'{"server": [1]}',
        b'{"watchdog": {"interval": 1e999}}',
        b'{"a": 1, "a": 1}',
        b'{"server": {"url": 5}}',
        b'{"service": {"auto_start": "no"}}',
        b'{"client": {"max_tokens": true}}',
        b'{"models": 5}',
        b'{"models": [null]}',
        b'{"models": [{"name": ["a"]}]}',
        b'{"files": [{"name": "a", "shards": [{"bytes": "0"}]}]}',
        b'{"rollback": {"rollout": {"engine_dir": 5}}}',
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


def test_what_a_command_needs_and_nobody_wrote_is_told_in_a_line(tmp_path):
    from llm_tools.client_config import Damaged, read

    path = tmp_path / "client.json"
    path.write_text('{"service": {"manager": "launchd"}, "models": [{}], "watchdog": null}')
    found = read(str(path))
    assert found["service"].get("log") is None and found["watchdog"] is None
    with pytest.raises(Damaged, match=r"is damaged: service\.definition is missing\. Run the play"):
        found["service"]["definition"]
    with pytest.raises(Damaged, match=r"models\[0\]\.name is missing"):
        found["models"][0]["name"]


def test_the_form_knows_every_key_that_the_play_writes():
    """Of what the template names itself; the rest is a part of the plan, without what is of no use to the commands."""
    from llm_tools.client_config import FORM

    names = ("client.json.j2", "gateway-client.json.j2")
    text = "".join((REPOSITORY / "templates" / name).read_text() for name in names)
    top = set(re.findall(r"^  '(\w+)':", text, re.MULTILINE))
    assert top - {"_"} == set(FORM)
    section = None
    for name, key in re.findall(r"^  '(\w+)':|^    '(\w+)':", text, re.MULTILINE):
        section = name or section
        assert not key or key in FORM[section], f"{section}.{key}"
    schema = json.loads((REPOSITORY / "config" / "llm_config.schema.json").read_text())
    assert set(schema["properties"]["client"]["properties"]) - {"register_with_llm"} == set(FORM["client"])


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
    from llm_tools.errors import UsageError
    from llm_tools.schemas import read

    assert read('{"type": "object"}') == json.loads('{"type": "object"}')
    with pytest.raises(UsageError, match="not JSON"):
        read('{"a":' * 100_000)
