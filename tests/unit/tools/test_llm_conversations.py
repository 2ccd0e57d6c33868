# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm conversations``"""

import io
import json
import os

import pytest
from llm_tools.conversations.store import Store
from llm_tools.core.base.errors import LlamaCppError
from llm_tools.environment import Environment
from llm_tools.llm.conversations import confirm


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "data" / "llm-client" / "conversations"))


@pytest.fixture
def llm(commands, tmp_path):
    """Runs ``llm conversations`` with the conversations of ``store``."""
    return lambda *words: commands.run(
        "llm", "conversations", *words, environ={"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path)}
    )


def saved(store, title="Cake"):
    conversation = store.create(title=title, model="tiny")
    conversation.append([{"role": "user", "content": "How?"}, {"role": "assistant", "content": "Stir."}])
    return conversation


def test_list_show_search_export_rename(llm, store):
    conversation = saved(store)
    assert conversation.id in llm().stdout
    assert [entry["title"] for entry in json.loads(llm("list", "--json").stdout)["conversations"]] == ["Cake"]
    assert "Stir." in llm("show", "Cake").stdout
    assert conversation.id in llm("search", "STIR").stdout
    assert llm("search", "tea").returncode == 1
    exported = llm("export", conversation.id, "--format", "json").stdout
    assert json.loads(exported) == {**conversation.header, "messages": conversation.messages}
    assert llm("rename", conversation.id, "Better", "cake").returncode == 0
    assert store.find(conversation.id).title == "Better cake"


def test_delete_needs_a_confirmation(llm, store):
    first, second = saved(store, "One"), saved(store, "Two")
    assert llm("delete", "One", "Two").returncode == 2
    assert llm("delete", "--yes", "One", "Three").returncode == 2
    assert len(store.summaries()) == 2
    assert llm("delete", "--yes", "One", first.id).returncode == 0
    assert [summary.id for summary in store.summaries()] == [second.id]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "refused"), [("y\n", False), ("yes\n", False), ("\n", True), ("", True)])
def test_delete_asks_on_a_terminal(store, typed, refused):
    saved(store)
    environment = Environment("llm", {}, stdin=Terminal(typed), stdout=io.StringIO(), stderr=io.StringIO())
    try:
        confirm(environment, store.summaries())
        assert not refused
    except LlamaCppError:
        assert refused


def test_damaged_conversation_is_told_and_can_be_deleted(llm, store):
    conversation = saved(store)
    with open(conversation.path, "w", encoding="utf-8") as stream:
        stream.write("{}\n")
    assert conversation.path in llm().stderr
    assert llm("delete", "--yes", conversation.id).returncode == 0
    assert not os.path.exists(conversation.path)


@pytest.mark.parametrize("words", [("shw", "x"), ("show",), ("show", "x", "y"), ("rename", "x"), ("show", "none")])
def test_wrong_words_are_refused(llm, words):
    done = llm(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_part_of_a_history_that_is_not_understood_fails_and_the_rest_is_imported(llm, store, tmp_path):
    sessions = tmp_path / "aichat" / "sessions"
    sessions.mkdir(parents=True)
    (sessions / "good.yaml").write_text("model: m\nmessages:\n- role: user\n  content: hi\n")
    (sessions / "bad.yaml").write_text("model: m\nmessages: &anchor\n")
    done = llm("import", "aichat", str(tmp_path / "aichat"))
    assert done.returncode == 1
    assert "bad.yaml, line 2" in done.stderr
    assert [summary.title for summary in store.summaries()] == ["good"]
    assert llm("import", "aichat", str(tmp_path / "aichat")).returncode == 1
    assert len(store.summaries()) == 1
    assert llm("import", "simonw-llm").returncode == 2  # there is none
