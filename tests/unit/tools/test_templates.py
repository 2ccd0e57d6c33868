# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Templates, and ``llm templates``."""

import os
import stat

import pytest
from llm_tools.client_config import UsageError
from llm_tools.templates import load, parse, render

TRANSLATE = """\
system: You translate into $language.
  Keep names.
temperature: 0.2
stop: ["\\n\\n"]
grammar: root ::= "a"
---
Translate, for $$5:

$input
"""


def rendered(text, values=(), given=""):
    return render(parse("t.txt", text), dict(values), given)


def test_prompt_system_and_options():
    prompt, system, options = rendered(TRANSLATE, {"language": "French"}, "A $cat")
    assert prompt == "Translate, for $5:\n\nA $cat"
    assert system == "You translate into French.\nKeep names."
    assert options == {"temperature": 0.2, "stop": ["\n\n"], "grammar": 'root ::= "a"'}


@pytest.mark.parametrize(
    ("text", "given", "prompt"),
    [
        ("Summarise:\n", "a text", "Summarise:\n\na text"),
        ("system: Be brief.\n---\n", "a text", "a text"),
        ("Be ${input}ly.", "brief", "Be briefly."),
        ("Hello.\n---\nA rule: above.", "", "Hello.\n---\nA rule: above."),
        ("note: no options follow\n\nHello.", "", "note: no options follow\n\nHello."),
        ("---\nseed: 1\n---\nHello.", "", "Hello."),
    ],
)
def test_where_the_prompt_begins_and_the_input_goes(text, given, prompt):
    assert rendered(text, given=given)[0] == prompt


@pytest.mark.parametrize(
    ("text", "values", "told"),
    [
        (TRANSLATE, {}, r"t\.txt:1: .*\$language"),
        ("system: s\n---\n\nHi\n$name", {}, r"t\.txt:5: .*\$name"),
        ("seed: 1\n---\nUS$ 5", {}, r"t\.txt:3: .*\$\$"),
        ("Hi $name", {"name": "x", "nam": "y"}, r'\$nam; did you mean "name"'),
        ("seed: 1\nseed: 2\n---\nHi", {}, r"t\.txt:2: .*seed"),
    ],
)
def test_mistake_is_told_with_its_place(text, values, told):
    with pytest.raises(UsageError, match=told):
        rendered(text, values)


def test_unknown_template_names_the_nearest(tmp_path):
    (tmp_path / "translate.txt").write_text("Hi")
    (tmp_path / "latin1.txt").write_bytes(b"\xe9")
    with pytest.raises(UsageError, match='did you mean "translate"'):
        load(str(tmp_path), "translat")
    for name in ("../translate", "", ".hidden", "latin1"):
        with pytest.raises(UsageError):
            load(str(tmp_path), name)


@pytest.fixture
def llm(commands, tmp_path):
    """Runs ``llm templates``; the editor writes what is in the file ``typed``."""
    (tmp_path / "editor").write_text('#!/bin/sh\ntest ! -e "$0.typed" || cat "$0.typed" > "$2"\nexit "$1"\n')
    (tmp_path / "editor").chmod(0o755)

    def llm(*words, status=0):
        environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "VISUAL": f"'{tmp_path}/editor' {status}"}
        return commands.run("llm", "templates", *words, environ=environ)

    return llm


def test_edit_list_show_delete(llm, tmp_path):
    typed = tmp_path / "editor.typed"
    assert llm("edit", "hello").returncode == 0
    assert llm().stdout == ""
    typed.write_text("Say hello.\n")
    assert llm("edit", "hello").returncode == 0
    path = llm("path", "hello").stdout.rstrip("\n")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert (llm("list").stdout, llm("show", "hello").stdout) == ("hello\n", "Say hello.\n")
    typed.write_text("seed: 1\nseed: 2\n---\n")
    assert f"{path}:2:" in llm("edit", "hello").stderr
    assert llm("edit", "hello", status=3).returncode == 1
    assert llm("delete", "hello").returncode == 0
    assert llm("delete", "hello").returncode == 2
    assert llm("edit", "no/name").returncode == 2
