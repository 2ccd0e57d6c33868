# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Every variable of the role is of its type on every route, and what means nothing is refused.

The cases come from the argument specification, so a new variable has them too.
"""

import ast
import contextlib
import json
import re
from pathlib import Path

import jinja2
import jinja2.nodes
import pytest
import yaml
from ansible.parsing.splitter import parse_kv
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_variables
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_variables import PREFIX, typed_all
from support.paths import REPOSITORY

ROLE = REPOSITORY / "roles" / "llama_cpp"
SPECIFIED = {**role_variables.options(), **role_variables.OF_PLAYBOOKS}

#: By type: what is meant, and how it may be written as text.
MEANT = {
    "bool": {True: ["true", "True", "yes", "on", "1"], False: ["false", "False", "no", "off", "0"]},
    "int": {600: ["600"], 1: ["1"]},
    "str": {"mac-01": ["mac-01"], "10.5": ["10.5"]},
    "path": {"/a b/c.json": ["/a b/c.json"]},
    "dict": {'{"server": {"parallel": 2}, "engine": {"web_ui": true}}': ["itself"], "{}": ["itself"]},
}

#: By type: text, and other values, that are refused.
REFUSED = {
    "bool": ["maybe", "yess", "", "2", 2, 0.5, [], {}, "ｔrue"],
    "int": ["abc", "", "1.5", "1e3", "0x10", "٣", "6\n", 1.5, True, 1e999, float("nan"), 10**30, "9" * 5000, [1]],
    "str": [True, ["a"], {}, "a\0b", "a\ud800"],
    "path": [True, [], "/a\n", "/a\0", "/\ud800", "/a\x85b", "/a\u2028b"],
    "dict": ["a=1", "[1]", "{", '{"a": 1, "a": 2}', '{"a": NaN}', {"a": float("inf")}, "[" * 100_000, [], 5, {1: 2}],
}


#: Without a default here: the role's own defaults name files beside it.
LOCAL_FILES = {"llama_cpp_config_file": "/c.json", "llama_cpp_packages_file": "/p.json"}


def cases():
    """(name, text, value that is meant) of every variable and every way to write it."""
    for name, option in SPECIFIED.items():
        choices = option.get("choices")
        if choices:
            yield from ((name, choice, choice) for choice in choices)
            continue
        for value, texts in MEANT[option["type"]].items():
            meant = json.loads(value) if option["type"] == "dict" else value
            yield from ((name, value if text == "itself" else text, meant) for text in texts)


def one(name, value):
    """What comes of ``value`` where nothing else is given."""
    return typed_all({**LOCAL_FILES, name: value})[name.removeprefix(PREFIX)]


def from_ini(text):
    """What an INI inventory makes of a value (``InventoryModule._parse_value``)."""
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(text)
    return text


def same(found, meant):
    return found == meant and isinstance(found, type(meant)) and isinstance(found, bool) == isinstance(meant, bool)


@pytest.mark.parametrize(("name", "text", "meant"), list(cases()), ids=str)
def test_every_route_gives_the_value_that_is_meant(name, text, meant):
    assert same(one(name, meant), meant), "JSON"
    if not isinstance(meant, dict):
        assert same(one(name, parse_kv(f"{name}='{text}'")[name]), meant), "-e name=value"
    assert same(one(name, text), meant)
    assert same(one(name, from_ini(text)), meant), "INI inventory"


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, option in SPECIFIED.items() for value in REFUSED[option["type"]]],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_what_means_nothing_is_refused_by_name(name, value):
    with pytest.raises(LlamaCppError) as error:
        one(name, value)
    first, line, last = str(error.value).splitlines()
    assert "nothing was changed" in first and "run the play again" in last
    assert line.startswith(f"  {name}: ") and len(line) < 300
    line.encode()


def test_all_of_them_are_told_at_once_with_what_is_allowed():
    with pytest.raises(LlamaCppError) as error:
        typed_all(
            {**LOCAL_FILES, "llama_cpp_update_lock": "maybe", "llama_cpp_fit": "wran", "llama_cpp_ready_timeout": "0"}
        )
    text = str(error.value)
    assert 'llama_cpp_update_lock: "maybe" is not allowed; expected: true or false' in text
    assert 'llama_cpp_fit: "wran" is not allowed; expected: "fail" or "warn"; did you mean "warn"?' in text
    assert "llama_cpp_ready_timeout" in text and "from 1 to 86400" in text


@pytest.mark.parametrize("kind", ["date", "_AnsibleTaggedDate"])
def test_what_json_has_no_word_for_is_named(kind):
    """Ansible has kinds of its own, whose names say nothing to its users."""
    with pytest.raises(LlamaCppError, match="llama_cpp_release: a date is not allowed; expected: text"):
        one("llama_cpp_release", type(kind, (), {})())


def test_every_whole_number_has_a_range():
    settings = {PREFIX + key for key in ("server_port",)}  # the schema has it
    others = (role_variables.options(role) for role in (role_variables.GATEWAY, role_variables.WORKER))
    specified = {**SPECIFIED, **{name: option for options in others for name, option in options.items()}}
    assert {name for name, option in specified.items() if option["type"] == "int"} == {
        *role_variables.RANGES,
        *settings,
    }


def test_clients_of_a_gateway_come_as_text_too_and_their_keys_are_in_no_error():
    name = "llama_cpp_gateway_clients"
    entries = [{"name": "anna", "key": "annas-key"}]
    assert role_variables.typed_all({name: json.dumps(entries)}, role_variables.GATEWAY)["clients"] == entries
    with pytest.raises(LlamaCppError, match=f"{name}: .* expected: a list") as error:
        role_variables.typed_all({name: {"anna": {"key": "annas-key"}}}, role_variables.GATEWAY)
    assert "annas-key" not in str(error.value)


def test_the_default_of_a_path_below_the_role_is_known_outside_the_role_too():
    assert Path(role_variables.typed_all({})["config_file"]).resolve() == REPOSITORY / "config" / "llm_config.json"


def test_what_is_left_out_has_its_default_and_null_is_left_out():
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    plain = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    assert set(defaults) - set(plain) == set(LOCAL_FILES)
    for given in (LOCAL_FILES, {**LOCAL_FILES, **dict.fromkeys(plain)}):
        found = typed_all(given)
        assert {name: found[name.removeprefix(PREFIX)] for name in plain} == plain
        assert found["server_port"] is None and found["release"] is None


def expressions(node, key=None):
    """Every Jinja text below a task file's node; a condition is one without braces."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from expressions(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value, key)
    elif isinstance(node, str):
        bare = key in ("when", "that", "failed_when", "changed_when", "until")
        yield "{{ %s }}" % node if bare and "{{" not in node else node


def names_in(file):
    environment = jinja2.Environment()
    for text in expressions(yaml.safe_load(file.read_text())):
        yield from (name.name for name in environment.parse(text).find_all(jinja2.nodes.Name))


def test_no_task_reads_a_variable_but_the_one_that_types_them():
    """A bare ``when: llama_cpp_update_lock`` would take the text "false" for true, or fail."""
    files = [*(ROLE / "tasks").rglob("*.yml"), ROLE / "vars" / "main.yml"]
    found = {(file.name, name) for file in files for name in names_in(file) if name.startswith(PREFIX)}
    assert len(files) > 20 and found == set()
    read = "\n".join(file.read_text() for file in files)
    used = set(re.findall(r"__llama_cpp_role\.variables\.([a-z_]+)", read))
    assert used and {PREFIX + name for name in used} <= set(SPECIFIED)
