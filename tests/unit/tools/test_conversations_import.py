# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Histories of simonw/llm and aichat: everything arrives, once, and the source stays as it is."""

import hashlib
import json
import sqlite3

import pytest
import yaml
from llm_tools.client_config import UsageError
from llm_tools.conversations.imports import aichat, simonw_llm, yaml_subset
from llm_tools.conversations.store import Store
from llm_tools.core.base.errors import LlamaCppError

# The tables of simonw/llm 0.36 as its migrations make them, without indexes and what is not read.
OLD_TABLES = """
CREATE TABLE conversations (id TEXT PRIMARY KEY, name TEXT, model TEXT);
CREATE TABLE attachments (id TEXT PRIMARY KEY, type TEXT, path TEXT, url TEXT, content BLOB);
CREATE TABLE prompt_attachments (response_id TEXT, attachment_id TEXT, "order" INTEGER);
CREATE TABLE responses (id TEXT PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT, options_json TEXT,
  response TEXT, response_json TEXT, conversation_id TEXT, duration_ms INTEGER, datetime_utc TEXT, input_tokens INTEGER,
  output_tokens INTEGER, token_details TEXT);
"""
NEW_TABLES = """
CREATE TABLE fragments (id INTEGER PRIMARY KEY, hash TEXT, content TEXT, datetime_utc TEXT, source TEXT);
CREATE TABLE prompt_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE system_fragments (response_id TEXT, fragment_id INTEGER, "order" INTEGER);
CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, arguments TEXT,
  tool_call_id TEXT);
CREATE TABLE tool_results (id INTEGER PRIMARY KEY, response_id TEXT, tool_id INTEGER, name TEXT, output TEXT,
  tool_call_id TEXT);
CREATE TABLE messages (hash TEXT PRIMARY KEY, parent_hash TEXT, role TEXT, provider_metadata TEXT);
CREATE TABLE parts (id INTEGER PRIMARY KEY, message_hash TEXT, position INTEGER, type TEXT, tool_name TEXT, text TEXT,
  payload TEXT);
CREATE TABLE threads (id TEXT PRIMARY KEY, name TEXT, tip_message_hash TEXT, forked_from TEXT, datetime_utc TEXT);
CREATE TABLE turns (id TEXT PRIMARY KEY, thread_id TEXT, parent_message_hash TEXT, tip_message_hash TEXT, model TEXT,
  datetime_utc TEXT, input_tokens INTEGER, output_tokens INTEGER);
"""


class Log:
    """A logs.db."""

    def __init__(self, path, tables):
        self.path = str(path)
        self._connection = sqlite3.connect(self.path, isolation_level=None)
        self._connection.executescript(tables)

    def add(self, table, **row):
        columns = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        self._connection.execute(f"insert into {table} ({columns}) values ({marks})", list(row.values()))

    def add_chain(self, *messages):
        """Messages as (hash, role, parts), each part a (type, text, payload)."""
        parent = None
        for key, role, parts in messages:
            self.add("messages", hash=key, parent_hash=parent, role=role)
            for position, (kind, text, payload) in enumerate(parts):
                more = {"payload": json.dumps(payload)} if payload else {}
                self.add("parts", message_hash=key, position=position, type=kind, text=text, **more)
            parent = key

    def close(self):
        self._connection.close()


@pytest.fixture
def open_log(tmp_path):
    logs = []

    def open_log(tables=OLD_TABLES + NEW_TABLES):
        logs.append(Log(tmp_path / "logs.db", tables))
        return logs[-1]

    yield open_log
    for log in logs:
        log.close()


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "conversations"))


def imported(store, program, path):
    """(the conversations by title after importing twice, what could not be read)"""
    problems = []
    with store.importing() as add:
        counts = [sum(add(**found) for found in program.read(str(path), problems.append)) for _ in range(2)]
    assert counts[1] == 0
    assert len(store.summaries()) == counts[0]
    return {summary.title: store.find(summary.id) for summary in store.summaries()}, problems[: len(problems) // 2]


def spoken(conversation):
    return [(message["role"], message["content"]) for message in conversation.messages]


def add_response(log, name, conversation, **more):
    log.add("responses", **{"id": name, "model": "gpt", "conversation_id": conversation, **more})


def test_simonw_old_responses(open_log, store):
    log = open_log(OLD_TABLES)
    log.add("conversations", id="c1", name="Pets", model="gpt")
    add_response(log, "r1", "c1", prompt="Cat?", system="Be kind.", response="Yes.", datetime_utc="2024-01-02T03:04:05")
    add_response(log, "r2", "c1", prompt="Dog?", system="Be kind.", response="No.", input_tokens=3, output_tokens=1)
    add_response(log, "r3", None, prompt="Alone?", response="Alas.", datetime_utc="2024-01-02T03:04:05.123456+00:00")
    log.add("attachments", id="aa", type="image/png", path="/pictures/cat.png")
    log.add("attachments", id="bb", type="image/png", content=b"1234")
    log.add("prompt_attachments", response_id="r2", attachment_id="aa", order=0)
    log.add("prompt_attachments", response_id="r2", attachment_id="bb", order=1)
    found, problems = imported(store, simonw_llm, log.path)
    assert (set(found), problems) == ({"Pets", "Alone?"}, [])
    pets = found["Pets"]
    assert (pets.system, pets.model, pets.header["created"]) == ("Be kind.", "gpt", "2024-01-02T03:04:05Z")
    assert spoken(pets) == [
        ("user", "Cat?"),
        ("assistant", "Yes."),
        (
            "user",
            [
                {"type": "text", "text": "Dog?"},
                {"type": "image_url", "path": "/pictures/cat.png", "sha256": "aa", "media_type": "image/png"},
                {"type": "text", "text": "[image/png: 4 bytes, not imported]"},
            ],
        ),
        ("assistant", "No."),
    ]
    assert pets.messages[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 1}


def test_simonw_threads(open_log, store):
    log = open_log()
    log.add("fragments", id=7, content="A long text")
    call = {"name": "now", "arguments": {}, "tool_call_id": "t1"}
    log.add_chain(
        ("h0", "system", [("text", "Be kind.", None)]),
        ("h1", "user", [("text", None, {"text_ref": [{"fragment": 7}, {"literal": "\nWhat time?"}]})]),
        ("h2", "assistant", [("reasoning", "Hm.", None), ("tool_call", None, call)]),
        ("h3", "tool", [("tool_result", None, {"name": "now", "output": "noon", "tool_call_id": "t1"})]),
        ("h4", "assistant", [("text", "Noon.", None)]),
    )
    log.add("threads", id="c1", name="Time", tip_message_hash="h4")
    log.add("turns", id="1", thread_id="c1", tip_message_hash="h4", model="m", datetime_utc="2026-11-27 01:02:03+00:00")
    log.add("threads", id="c2", name="Torn", tip_message_hash="gone")
    found, problems = imported(store, simonw_llm, log.path)
    assert set(found) == {"Time"}
    assert len(problems) == 1
    assert "c2" in problems[0]
    assert found["Time"].system == "Be kind."
    assert spoken(found["Time"]) == [
        ("user", "A long text\nWhat time?"),
        ("assistant", ""),
        ("tool", "noon"),
        ("assistant", "Noon."),
    ]
    question, calling, result, answer = found["Time"].messages
    assert calling["reasoning"] == "Hm."
    assert calling["tool_calls"][0]["function"] == {"name": "now", "arguments": "{}"}
    assert calling["tool_calls"][0]["id"] == result["tool_call_id"] == "t1"
    assert question["created"] == answer["created"] == "2026-11-27T01:02:03Z"
    assert answer["model"] == "m"


def test_simonw_thread_that_continues_old_responses_repeats_nothing(open_log, store):
    """A version with threads has stored the last old exchange again, with what followed it."""
    log = open_log()
    log.add("conversations", id="c1", name="Both", model="gpt")
    add_response(log, "r1", "c1", prompt="One?", system="Count.", response="1")
    add_response(log, "r2", "c1", prompt="Two?", response="2")
    log.add_chain(
        ("h1", "user", [("text", "Two?", None)]),
        ("h2", "assistant", [("text", "2", None)]),
        ("h3", "user", [("text", "Three?", None)]),
        ("h4", "assistant", [("text", "3", None)]),
    )
    log.add("threads", id="c1", name="Three?", tip_message_hash="h4")
    found, _ = imported(store, simonw_llm, log.path)
    assert [text for _, text in spoken(found["Both"])] == ["One?", "1", "Two?", "2", "Three?", "3"]


@pytest.mark.parametrize(("content", "error"), [(b"no database, for sure", LlamaCppError), (None, UsageError)])
def test_simonw_file_that_is_no_log_is_refused(tmp_path, content, error):
    path = tmp_path / "logs.db"
    if content is None:
        sqlite3.connect(path).close()
    else:
        path.write_bytes(content)
    with pytest.raises(error, match=r"logs\.db"):
        list(simonw_llm.read(str(path), print))


def entry(title, question, answer, date="2026-11-26T15:30:12+01:00", scope=""):
    """What aichat 0.30 appends to messages.md (src/config/mod.rs: save_message)."""
    return f"# CHAT: {title} [{date}]{scope}\n{question}\n--------\n{answer}\n--------\n\n"


def test_aichat_messages(store, tmp_path):
    path = tmp_path / "messages.md"
    tricky = "Above\n--------\nbelow\n\n# CHAT: not one [2026-11-26T15:30:12Z]\nend"
    path.write_text(
        entry("hi", "hi\nthere", "Hello.")
        + entry("tricky", "Show a rule", tricky, scope=" (coder#docs)")
        + entry("twice", "a", "b") * 2
        + "# CHAT: cut [2026-11-26T15:30:12Z]\nno answer\n------",
        encoding="utf-8",
    )
    before = path.read_bytes()
    found, problems = imported(store, aichat, path)
    assert path.read_bytes() == before
    assert len(store.summaries()) == 4
    assert (set(found), len(problems)) == ({"hi", "tricky", "twice"}, 1)
    assert spoken(found["hi"]) == [("user", "hi\nthere"), ("assistant", "Hello.")]
    assert spoken(found["tricky"])[1] == ("assistant", tricky)
    assert found["hi"].header["created"] == "2026-11-26T14:30:12Z"


class SerdeYaml(yaml.CSafeDumper):
    """serde_yaml, which aichat writes with, contains libyaml in Rust and asks it for literal blocks in the same way."""


SerdeYaml.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None),
)


def serde_yaml(value):
    options = {"width": 10**9, "allow_unicode": True, "sort_keys": False, "default_flow_style": False}
    return yaml.dump(value, Dumper=SerdeYaml, **options)


TEXTS = [
    "",
    "plain",
    'it\'s: "quoted" # no comment',
    "- item",
    "12",
    "true",
    "~",
    "?x",
    "{a}",
    "tab\there",
    "\x00 control",
    "é 😀",
    "two\nlines",
    "two\nlines\n",
    "  indented\nfirst",
    "\n\nblank first",
    "blank last\n\n\n",
    "code\n\n    def f():\n        return {}\n\nend # x: y\n",
    "trailing space \nnext",
    "---\n...\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_yaml_is_read_as_it_was_written(text):
    value = {"model": text, "messages": [{"role": "user", "content": text}, {"content": [{"text": text}]}], "end": text}
    assert yaml_subset.parse(serde_yaml(value)) == value


def test_yaml_values_and_keys():
    value = {
        "a b": [[], {}, None, 1.5, -2, True, [["nested"]], {"x": {"y": ["z"]}}],
        "it's": False,
        "1": "one",
        "c:d": {},
    }
    assert yaml_subset.parse("---\n" + serde_yaml(value)) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: &x y\n", 2),
        ("a: [1, 2]\n", 1),
        ("a: >\n  folded\n", 1),
        ("a: one\n  two\n", 2),
        ("a: 1\na: 2\n", 2),
        ("a: 'open\n", 1),
        ('a: "\\q"\n', 1),
        ("a: b # comment\n", 1),
        ("- a\nb: c\n", 2),
        ("a: x\u2028y\n", 1),
    ],
)
def test_yaml_that_is_not_understood_is_refused_with_its_line(text, line):
    with pytest.raises(yaml_subset.NotUnderstood) as refusal:
        yaml_subset.parse(text)
    assert refusal.value.line == line


def test_aichat_session(store, tmp_path):
    url = "data:image/png;base64,iVBORw=="
    session = {
        "model": "openai:gpt-4o",
        "temperature": 0.2,
        "compressed_messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Old\nquestion"},
        ],
        "messages": [
            {"role": "system", "content": "A summary"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            },
            {
                "role": "tool",
                "content": {
                    "tool_results": [
                        {"call": {"name": "look", "arguments": {"at": "it"}, "id": None}, "output": {"a": 1}}
                    ],
                    "text": "",
                    "sequence": False,
                },
            },
            {"role": "assistant", "content": "A cat."},
        ],
        "data_urls": {hashlib.sha256(url.encode()).hexdigest(): "/pictures/cat.png"},
    }
    path = tmp_path / "sessions" / "_" / "20261126T153012-cat.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(serde_yaml(session), encoding="utf-8")
    found, problems = imported(store, aichat, tmp_path)
    assert problems == []
    cat = found["20261126T153012-cat"]
    assert (cat.system, cat.model) == ("Be kind.", "openai:gpt-4o")
    assert [role for role, _ in spoken(cat)] == ["user", "system", "user", "assistant", "tool", "assistant"]
    image = cat.messages[2]["content"][1]
    assert (image["path"], image["sha256"]) == ("/pictures/cat.png", hashlib.sha256(b"\x89PNG").hexdigest())
    assert cat.messages[3]["tool_calls"][0]["id"] == cat.messages[4]["tool_call_id"]
    assert cat.messages[4]["content"] == '{"a": 1}'
