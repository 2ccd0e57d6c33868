# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Our items in a list of another program: the rest of its file stays, and what is no such list is left alone."""

import os

import pytest
import yaml
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.block import BEGIN, END, Block
from support.modules import run_module

ITEMS = '- model_id: "llama-server/tiny"\n  model_name: "tiny"\n'
OTHER = ITEMS.replace("tiny", "large")
LISTS = [
    "",
    "- model_id: theirs\n  aliases: [a]\n",
    "# notes\n---\n- {model_id: theirs, model_name: x}\n\n# more\n",
    "- model_id: theirs\n  headers:\n    X: |\n      - text\n  model_name: no newline behind",
    "-\n  model_id: theirs\n",
]


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "models.yaml")


def write(path, text):
    with open(path, "wb") as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())


def put(path, items):
    """Make the block, as the modules do; the new text."""
    text = Block(path, items).text
    write(path, text)
    return text


@pytest.mark.parametrize("theirs", LISTS)
def test_items_are_added_changed_and_removed_and_the_rest_stays(path, theirs):
    write(path, theirs)
    before = yaml.safe_load(theirs) or []
    for items in (ITEMS, OTHER):
        assert not Block(path, items).is_in_place
        assert put(path, items).startswith(theirs)
        assert Block(path, items).is_in_place
        with open(path, encoding="utf-8") as stream:
            assert yaml.safe_load(stream) == before + yaml.safe_load(items)
    end = "" if theirs.endswith("\n") or not theirs else "\n"
    assert Block(path, "").text == (theirs + end or None)


def test_what_was_written_behind_the_block_stays(path):
    put(path, ITEMS)
    with open(path, "a", encoding="utf-8") as stream:
        stream.write("- model_id: later\n")
    assert [item["model_id"] for item in yaml.safe_load(put(path, OTHER))] == ["llama-server/large", "later"]


@pytest.mark.parametrize(
    "theirs, why",
    [
        ("[]\n", "list"),
        ("models:\n- model_id: x\n", "list"),
        ("  - model_id: x\n", "list"),
        ("- a: 1\n...\n", "list"),
        ("- a: 1\n---\n- b: 1\n", "list"),
        ("- a: 1\n\tb: 2\n", "list"),
        (b"- \xff\n", "UTF-8"),
        ("- model_id: llama-server/tiny # mine\n", "llama-server/tiny"),
        ("- {'model_id': 'llama-server/tiny'}\n", "llama-server/tiny"),
        (f"{BEGIN}\n- a: 1\n", "mark"),
        (f"{BEGIN}\n{END}\n" * 2, "block"),
    ],
)
def test_what_is_not_understood_or_taken_is_refused(path, theirs, why):
    write(path, theirs)
    with pytest.raises(LlamaCppError, match=why):
        Block(path, ITEMS)


def test_a_file_behind_a_link_is_changed_there(tmp_path, path):
    target = tmp_path / "dotfiles.yaml"
    target.write_text(LISTS[1])
    os.symlink(target, path)
    assert Block(path, ITEMS).path == str(target)


def test_the_module_keeps_the_mode_and_says_in_check_mode_what_it_would_do(tmp_path, path):
    write(path, LISTS[1])
    os.chmod(path, 0o600)
    for check in (True, False):
        result = run_module("file_set", {"blocks": {path: ITEMS}}, check=check, diff=True)
        assert (result["changed"], result["paths"]) == (True, [path])
        assert BEGIN in result["diff"][0]["after"] and BEGIN not in result["diff"][0]["before"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not run_module("file_set", {"blocks": {path: ITEMS}})["changed"]
    assert run_module("file_set", {"blocks": {path: ""}})["changed"]
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == LISTS[1]


def test_the_module_makes_a_file_and_removes_the_one_in_which_nothing_is_left(tmp_path):
    path = tmp_path / "io.datasette.llm" / "models.yaml"
    assert run_module("file_set", {"blocks": {str(path): ITEMS}})["changed"]
    assert yaml.safe_load(path.read_text()) == yaml.safe_load(ITEMS)
    assert run_module("file_set", {"blocks": {str(path): ""}})["changed"] and not path.exists()
    assert not run_module("file_set", {"blocks": {str(path): ""}})["changed"]


def test_the_module_refuses_a_file_without_room(path):
    write(path, "[]\n")
    refused = run_module("file_set", {"blocks": {path: ITEMS}})
    assert refused["failed"] and path in refused["msg"]
