# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""JSON that no program could go on with is one line where it is read, wherever that is."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import strict_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import read_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.strict_json import NotStrict, flaws, parse
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import ServerError
from ansible_collections.macos_setup.llm.plugins.module_utils.offline import facts as bundle_facts
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.facts import Malformed
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.config import EXAMPLE, read_config
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.crash_loop import RunState
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.daemon import remembered
from ansible_collections.macos_setup.llm.plugins.module_utils.watchdog.policy import Memory

#: (document, words of the refusal)
REFUSED = {
    "infinite": (b'{"a": [1e999]}', "a[0]: this number is not finite"),
    "minus infinite": (b'{"a": -Infinity}', "a: this number is not finite"),
    "not a number": (b'{"a": {"b": NaN}}', "a.b: this number is not finite"),
    "5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "a: this number is not finite"),
    "65 bits": (b'{"a": 18446744073709551616}', "more than 64 bits"),
    "half a character": (b'{"a": "x\\ud800"}', "half a character"),
    "half a character as a key": (b'{"x\\udc00": 1}', "half a character"),
    "NUL": (b'{"a": "/x\\u0000.gguf"}', "NUL"),
    "100,000 lists": (b"[" * 100_000 + b"]" * 100_000, "nested"),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
    "100 lists": (b"[" * 100 + b"]" * 100, "nested"),
    "a key twice": (b'{"b": {"a": 1, "a": 2}}', 'the key "a" is given twice'),
    "a key twice that breaks the line": (b'{"a\\n": 1, "a\\n": 2}', r'"a\n"'),
    "too long": (b'"' + b"x" * strict_json.MOST_BYTES + b'"', "more than"),
    "UTF-16": (json.dumps({"a": 1}).encode("utf-16"), "UTF-8"),
    "BOM": (b"\xef\xbb\xbf{}", "not JSON"),
    "nothing": (b"", "not JSON"),
}


@pytest.mark.parametrize(("document", "words"), REFUSED.values(), ids=REFUSED)
def test_one_line_for_each(document, words, tmp_path):
    with pytest.raises(NotStrict) as error:
        parse(document)
    line = str(error.value)
    assert words in line and "\n" not in line and len(line) < 200
    line.encode()  # it can be printed
    (tmp_path / "f.json").write_bytes(document)
    assert read_json(str(tmp_path / "f.json")) is None


def test_what_is_used_stays():
    value = {"mtime_ns": 1_790_000_000_123_456_789, "inode": 2**64 - 1, "x": [1.5, -0.0, None, True, "é\n"]}
    assert parse(json.dumps(value)) == value


def test_what_a_program_says_may_hold_any_text():
    assert parse('{"content": "\\u0000\\ud83d"}', any_text=True) == {"content": "\0\ud83d"}


@pytest.mark.parametrize("value", [{1: "a"}, {"a": object()}, {"a": (1,)}], ids=["number as key", "object", "tuple"])
def test_values_that_are_no_json(value):
    assert len(flaws(value)) == 1


def runner_file(tmp_path, **changes):
    path = tmp_path / "runner.json"
    path.write_text(json.dumps({**EXAMPLE, **changes}))
    return str(path)


HUGE_TIMES = [float("inf"), float("nan"), 1e12, 10**30, -1, True]


@pytest.mark.parametrize("value", HUGE_TIMES, ids=repr)
def test_the_runner_refuses_a_time_that_cannot_be_waited_for(tmp_path, value):
    with pytest.raises(LlamaCppError, match="stop_seconds"):
        read_config(runner_file(tmp_path, stop_seconds=value))


@pytest.mark.parametrize(
    "changes",
    [
        {"rotation": {"max_bytes": 5.0, "keep": 1}},
        {"rotation": {"max_bytes": 10**40, "keep": 1}},
        {"argv": ["/bin/true", "a\0b"]},
        {"environment": {"": "x"}},
        {"environment": {"A=B": "x"}},
        {"log_file": "/l\ud800"},
    ],
    ids=repr,
)
def test_the_runner_refuses_what_it_could_not_start_a_server_with(tmp_path, changes):
    with pytest.raises(LlamaCppError, match="nothing was started"):
        read_config(runner_file(tmp_path, **changes))


def test_what_is_wrong_with_the_runners_file_does_not_fill_the_log(tmp_path):
    unknown = {f"{number}\n" * 1000: 1 for number in range(1000)}
    with pytest.raises(LlamaCppError, match="nothing was started") as error:
        read_config(runner_file(tmp_path, **unknown))
    assert len(str(error.value)) < 20_000


@pytest.mark.parametrize(
    "state",
    [
        {"exits": 5, "child": 7},
        {"exits": [], "child": {"pid": 10**15, "argv": ["x"]}},
        {"child": {"pid": 77, "argv": [1]}},
        {"child": {"pid": -1, "argv": []}},
        ["x"],
    ],
    ids=repr,
)
def test_a_damaged_state_file_keeps_no_server_from_starting(tmp_path, state):
    path = tmp_path / "state.json"
    path.write_text(json.dumps(state))
    found = RunState(str(path), 60, 5, print)
    assert found.predecessor is None
    assert found.failed(1, 0.5, lambda: "") is None


@pytest.mark.parametrize("memory", [{"work": [[]]}, {"until": "soon"}, {"doubt": "x"}, {"looked": None}], ids=repr)
def test_a_damaged_memory_is_forgotten(tmp_path, memory):
    path = tmp_path / "watchdog.json"
    path.write_text(json.dumps(memory))
    assert remembered(str(path)) == Memory()


def test_a_server_that_answers_with_depth_is_not_understood():
    server = LlamaServer("http://127.0.0.1:1")
    with pytest.raises(ServerError, match="does not answer like"):
        server._parse("[" * 100_000)
    assert server._refusal(500, "[" * 100_000).status == 500


@pytest.mark.parametrize("facts", [b"[]", b"[" * 100_000, b'{"format": NaN}', b'{"format": 1, "format": 1}'], ids=len)
def test_the_facts_of_a_bundle(facts):
    with pytest.raises(Malformed):
        bundle_facts.checked(facts.decode())
