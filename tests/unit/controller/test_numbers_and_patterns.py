# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""All of the configuration is bounded: numbers, texts, lists; and every pattern holds to the end of the text."""

import json
import math
import re

import jsonschema
import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, lock, rules
from support.paths import REPOSITORY
from support.planning import CATALOG, SCHEMA, resolve

CATALOG_SCHEMA = json.loads((REPOSITORY / "config" / "model_catalog.schema.json").read_text())
FILE = {"url": "https://models.example/m.gguf"}


def every(schema, path="$"):
    """(path, schema) of every part of a schema."""
    if isinstance(schema, dict):
        yield path, schema
        for key, value in schema.items():
            if key not in ("default", "enum", "required", "x-planned"):
                yield from every(value, f"{path}.{key}")


PARTS = [*every(SCHEMA), *every(CATALOG_SCHEMA, "catalog")]


def types(part):
    return {part["type"]} if isinstance(part.get("type"), str) else set(part.get("type") or ())


NUMBERS = {path: part for path, part in PARTS if {"integer", "number"} & types(part)}
PATTERNS = {path: part["pattern"] for path, part in PARTS if isinstance(part.get("pattern"), str)}

#: Patterns that no long text fits have no further bound.
FIXED = re.compile(r"[^*+]*")

#: What of which a configuration can hold any number, and the keyword that bounds it.
BOUNDS = {
    **{path: "maxLength" for path, part in PARTS if "string" in types(part) or path.endswith(".propertyNames")},
    **{path: "maxItems" for path, part in PARTS if "array" in types(part)},
    **{path: "maxProperties" for path, part in PARTS if part.get("additionalProperties") not in (None, False)},
}


@pytest.mark.parametrize("path", NUMBERS)
def test_every_number_has_both_bounds(path):
    least, most = NUMBERS[path]["minimum"], NUMBERS[path]["maximum"]
    assert -(2**53) < least < most < 2**53


@pytest.mark.parametrize("path", BOUNDS)
def test_every_text_list_and_object_has_a_bound(path):
    part = dict(PARTS)[path]
    if "pattern" in part and FIXED.fullmatch(part["pattern"]):
        return
    assert 1 <= part[BOUNDS[path]] <= 65536


@pytest.mark.parametrize("path", PATTERNS)
def test_every_pattern_is_anchored_at_both_ends(path):
    """Alternatives would escape the anchors, unless they stand in brackets."""
    pattern = PATTERNS[path]
    assert pattern.startswith("^") and pattern.endswith("$")
    nested = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]", "x", pattern)
    while nested != (nested := re.sub(r"\([^()]*\)", "x", nested)):
        pass
    assert "|" not in nested


@pytest.mark.parametrize(
    ("pattern", "means"),
    [
        ("^a$", r"^a\Z"),
        (r"^[$]\$$", r"^[$]\$\Z"),
        ("^(/|~(/|$))[^x]*$", r"^(/|~(/|\Z))[^x]*\Z"),
        (r"^[\]$]$", r"^[\]$]\Z"),
    ],
)
def test_the_end_is_the_end(pattern, means):
    assert load.anchored(pattern) == means


def test_the_schemas_are_schemas_for_other_tools_too():
    for schema in (SCHEMA, CATALOG_SCHEMA):
        jsonschema.Draft202012Validator.check_schema(schema)


def config_of(path, value):
    config = {"models": {"m": dict(FILE)}}
    *parts, last = path.split("/")
    parent = config
    for part in parts:
        parent = parent.setdefault(part, {})
    parent[last] = value
    return config


def refusal(tmp_path, config):
    """The lines of what is wrong with a configuration, given as the bytes of its file or as a value."""
    path = tmp_path / "llm_config.json"
    if isinstance(config, bytes):
        path.write_bytes(config)
    try:
        rules.checked(load.read(path) if isinstance(config, bytes) else config, SCHEMA, CATALOG, "c")
    except load.ConfigurationError as error:
        str(error).encode()  # it can be printed
        return str(error).splitlines()[1:-1]
    return []


FLAWED = {
    "service/watchdog/interval": [math.nan, math.inf, 10**5000, 1e300, 1e-300, 0, 0.5],
    "client/temperature": [math.nan, math.inf, -1e-9, 1e300],
    "service/log_rotation/keep": [5.5, 1e999, 10**40, 0],
    "server/parallel": [10**30, 257, "2"],
    "server/arguments/threads": [math.nan, 1e300, 10**18],
    "server/arguments/chat-template-kwargs": ["a\0b", "\ud800"],
    "engine/cmake_options/X": [10**18, 1.5, "\0"],
    "models/m/bytes": [2**53, 10**5000, -1],
    "models/m/description": ["\udfff", "a\0", "x" * 4097],
    "models/m": [
        {"huggingface": {"repo": "a/b", "file": "a.gguf\n"}},
        {"huggingface": {"repo": "a/b\n", "file": "a.gguf"}},
    ],
    "models/m/filename": ["a.gguf\n"],
    "models/m/aliases": [["x\n"]],
    "models/m/sha256": ["a" * 64 + "\n"],
    "llm_settings/install_dir": ["/tmp/x\n", "~\n", "/x\ud800", "/x\0"],
    "llm_settings/server_host": ["127.0.0.1\n", ":::", "a:b", "a..b", ".", "-x", "%", "a" * 64, "1.2.3.4%eth0"],
    "llm_settings/server_port": [8080.5, 1e999, "8080"],
    "server/api_key": ["/k\n", "auto\n", "none\n"],
    "server/cors_origins": [["https://a\n"]],
    "client/command": ["llm\n"],
    "engine/version": ["b10488\n"],
    "server/arguments/flash-attn\n": ["on"],
    "models/m\n": [FILE],
    "llm_settings/default_model": ["m\n", "m" * 129],
    "models/\ud800": [FILE],
    "models/m/url": [
        "https://[abc/m.gguf",
        "https://\u2100.example/m.gguf",
        "https:///m.gguf",
        "https://h:99999/m.gguf",
        "https://h:0/m.gguf",
        "https://h/\x1b[31mm.gguf",
        "https://h/\x7fm.gguf",
    ],
    "models/m/mirrors": [["https://]/m.gguf"], ["https://h:x/"], [f"https://h/{n}" for n in range(101)]],
    "models/m/license": ["x" * 129],
    "models/" + "m" * 129: [FILE],
    "llm_settings/logs_dir": ["/a\x7f", "/a\x85b", "/a\u2028b", "/" + "a" * 1024],
    "service/user": ["a\nb", "-x", "a b", "$(id)"],
    "server/arguments/grammar": ["x" * 30001],
    "client/system_prompt": ["x" * 65537],
    "engine/web_ui": [
        {"url": "https://sam:PASS@h/ui.tar.gz", "sha256": "a" * 64},
        {"url": "https://[h/ui.tar.gz", "sha256": "a" * 64},
    ],
    "engine/url": [
        "https://x/y\n",
        "/x\ny",
        "https://[abc/x.git",
        "ssh://-oProxyCommand=id/x",
        "--upload-pack=id@h:x",
        "sam:PASS@h:x.git",
        "HTTPS://sam:PA/SS@h/x.git",
        "https://sam:PASS@h:x/x.git",
    ],
}


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, value) for path, values in FLAWED.items() for value in values],
    ids=lambda value: ascii(value)[:40] if not isinstance(value, int) or value < 10**20 else "huge",
)
def test_one_line_names_the_place(tmp_path, path, value):
    (line,) = refusal(tmp_path, config_of(path, value))
    where = path.replace("/", ".").replace("\n", "\\n").replace("\ud800", "\\ud800")
    assert line.strip().startswith(where[:80]), line
    assert len(line) < 300 and "PA" not in line, line


def test_what_is_wrong_without_end_is_told_in_part(tmp_path):
    config = {"models": {"m": FILE}, "server": {f"key{number}": 1 for number in range(5000)}, "x" * 100_000: 1}
    lines = refusal(tmp_path, config)
    assert lines[-1] == "  and 4951 more"
    assert sum(map(len, lines)) < 60_000


def test_the_entries_of_a_list_that_is_too_long_are_not_compared(tmp_path):
    """Each with each, for those that cannot be sorted."""
    (line,) = refusal(tmp_path, config_of("server/cors_origins", ["https://a"] * 101))
    assert line == "  server.cors_origins: it has 101 entries; expected: at most 100"


def test_what_is_empty_counts(tmp_path):
    """A few lines of YAML with anchors make any number of empty lists."""
    value = []
    for _ in range(40):
        value = [value, value]
    assert refusal(tmp_path, config_of("models/m/lora", value)) == ["  it has more than 1048576 bytes"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"models": {"m": {"bytes": %s}}}' % (b"9" * 5000), "models.m.bytes: this number is not finite"),
        (b'{"models": {"m": {"bytes": 1e999}}}', "models.m.bytes: this number is not finite"),
        (b'{"client": {"temperature": NaN}, "models": {}}', "client.temperature: this number is not finite"),
        (b'{"models":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested more than"),
        (b"[" * 100_000, "nested more than"),
        (b'{"models": {"m": {"description": "%s"}}}' % (b"x" * 2_000_000), "more than 1048576 bytes"),
        (b'{"models": {"a": {}, "a\\u0000": 1, "a": {}}}', 'the key "a" is given twice'),
    ],
    ids=["5,000 digits", "1e999", "NaN", "deep", "open", "large", "twice"],
)
def test_files_of_another_size_than_expected(tmp_path, text, words):
    lines = refusal(tmp_path, text)
    assert words in lines[0], lines


def test_a_number_without_a_fraction_is_a_whole_number_everywhere():
    plan = resolve(
        {
            "llm_settings": {"server_port": 8080.0},
            "engine": {"keep_releases": 3.0, "cmake_options": {"X": 2.0}},
            "server": {"parallel": 2.0, "arguments": {"threads": 4.0, "temp": 0.5}},
            "service": {
                "log_rotation": {"keep": 5.0, "max_megabytes": 1e1},
                "watchdog": {"restarts_per_hour": 3.0, "interval": 60.0},
            },
        }
    )
    text = json.dumps([plan["server"], plan["engine"], plan["service"]["runner"], plan["watchdog"]])
    assert not re.search(r"[0-9]\.0\b(?!\.)", text.replace("127.0.0.1", "")), text
    assert "0.5" in text
    assert type(plan["server"]["port"]) is int and type(plan["service"]["runner"]["rotation"]["max_bytes"]) is int


def test_what_the_variables_of_a_host_bring_is_no_exception(tmp_path):
    """Values of an inventory need not even come from JSON."""
    import datetime

    for value, words in ((datetime.date(2026, 1, 1), "quote it"), (math.nan, "finite"), ({5: 6}, "quote it")):
        config = load.merge({"models": {"m": FILE}}, {"engine": {"version": value}})
        (line,) = refusal(tmp_path, config)
        assert line.strip().startswith("engine.version") and words in line


ENTRY = {"bytes": 5, "sha256": "a" * 64}


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": "5"},
        {"bytes": 5.0},
        {"bytes": 10**30},
        {"bytes": math.nan},
        {"bytes": True},
        {"bytes": 0},
        {"sha256": "a" * 64 + "\n"},
        {"revision": 5},
        {"revision": "b" * 40 + "\n"},
        {"sha256": ["a"]},
    ],
    ids=repr,
)
def test_the_lock_file(tmp_path, change):
    path = tmp_path / "c.lock.json"
    path.write_text(json.dumps({"models": {"https://x/m.gguf": {**ENTRY, **change}}}))
    with pytest.raises(LlamaCppError, match="cannot be used") as error:
        lock.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        {"models": {"https://x/\n\x1b[31m" + "y" * 100_000: 5}},
        {"models": {"a": {**ENTRY, "z\n" * 1000: 1}}},
        {"models": {}, "tags": {"t\n" * 1000: 5}},
    ],
    ids=["address", "key", "tag"],
)
def test_names_in_a_lock_file_are_told_in_one_line(tmp_path, content):
    path = tmp_path / "c.lock.json"
    path.write_text(json.dumps(content))
    with pytest.raises(LlamaCppError, match="cannot be used") as error:
        lock.read(path)
        lock.read_tags(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 1000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"models": {}, "models": {}}', '{"models": {"\\ud800": {}}}', "[]"])
def test_a_lock_file_that_is_none(tmp_path, text):
    path = tmp_path / "c.lock.json"
    path.write_text(text)
    with pytest.raises(LlamaCppError, match="cannot be used"):
        lock.read(path)
