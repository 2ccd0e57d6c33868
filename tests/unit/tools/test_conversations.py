# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Conversations as files: nothing is lost, nothing is half-written, and writers do not mix."""

import base64
import contextlib
import hashlib
import json
import os
import resource
import signal
import stat
import time

import pytest
from llm_tools.client_config import UsageError
from llm_tools.conversations.conversation import Conversation
from llm_tools.conversations.export import json_lines, markdown
from llm_tools.conversations.store import Store
from llm_tools.core.base.errors import LlamaCppError

PATIENCE_SECONDS = 30
PNG = b"\x89PNG"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "client" / "conversations"))


def exchange(question, answer="Yes."):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def saved(store, question="Is it?", **properties):
    conversation = store.create(**properties)
    conversation.append(exchange(question))
    return conversation


def bytes_of(conversation):
    with open(conversation.path, "rb") as stream:
        return stream.read()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@contextlib.contextmanager
def forked(work):
    """``work()`` in a process of its own; yields its number. It is killed at the end of the block if it still runs."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def test_conversation_is_read_as_it_was_saved(store):
    conversation = store.create(model="tiny", system="Be brief.")
    conversation.append(exchange("What is\n“π”?\u2028"))
    conversation.append([{**exchange("Why?")[1], "reasoning": "Hm.", "usage": {"prompt_tokens": 3}}])
    found = Conversation.load(conversation.path)
    assert (found.header, found.messages) == (conversation.header, conversation.messages)
    assert found.title == "What is “π”?"
    assert [message["content"] for message in found.messages] == ["What is\n“π”?\u2028", "Yes.", "Yes."]
    assert found.request_messages() == [
        {"role": "system", "content": "Be brief."},
        *exchange("What is\n“π”?\u2028"),
        {"role": "assistant", "content": "Yes."},
    ]
    first, *others = (json.loads(line) for line in bytes_of(conversation).split(b"\n")[:-1])
    assert (first["format"], first["id"], len(others)) == (1, conversation.id, 3)


def test_only_its_owner_can_read_a_conversation(store):
    conversation = saved(store)
    conversation.rename("Other")
    assert (mode_of(conversation.path), mode_of(store.directory)) == (0o600, 0o700)


def test_conversation_without_messages_leaves_no_file(store):
    store.create()
    assert not os.path.exists(store.directory)
    assert (store.summaries(), store.latest()) == ([], None)


def test_many_conversations_of_one_second_have_their_own_files(store):
    ids = {saved(store, created=0).id for _ in range(40)}
    assert len(ids) == 40
    assert all(name.startswith("19700101-000000-") for name in ids)


def test_incomplete_last_line_is_ignored_and_cut_off(store):
    conversation = saved(store)
    with open(conversation.path, "ab") as stream:
        stream.write('{"role": "user", "content": "half of “'.encode()[:-1])
    found = Conversation.load(conversation.path)
    assert found.messages == conversation.messages
    found.append(exchange("And this?"))
    assert Conversation.load(conversation.path).messages == found.messages
    assert len(found.messages) == 4


def test_last_line_without_a_line_feed_is_kept(store):
    """Some editors leave it out."""
    conversation = saved(store)
    os.truncate(conversation.path, os.path.getsize(conversation.path) - 1)
    found = Conversation.load(conversation.path)
    found.append(exchange("And this?"))
    assert Conversation.load(conversation.path).messages == [*conversation.messages, *found.messages[2:]]


def test_killed_writer_leaves_whole_exchanges(store):
    conversation = saved(store)

    def write():
        while True:
            conversation.append(exchange("x" * 10_000))

    with forked(write) as pid:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while os.path.getsize(conversation.path) < 100_000:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    found = Conversation.load(conversation.path)
    found.append(exchange("After it."))
    assert [message["content"] for message in Conversation.load(conversation.path).messages[-2:]] == [
        "After it.",
        "Yes.",
    ]


def test_messages_of_two_writers_do_not_mix(store):
    """Each appends, which looks at the end of the file first, and renames, which replaces the file."""
    conversation = saved(store)
    begin, started = os.pipe()

    def write(name):
        mine = Conversation.load(conversation.path)
        for number in range(100):
            mine.append(exchange(f"{name}{number}", f"{name}{number}"))
            if number % 10 == 0:
                mine.rename(name)

    def write_too():
        os.write(started, b".")
        write("a")

    with forked(write_too) as pid:
        os.read(begin, 1)
        write("b")
        assert os.waitpid(pid, 0)[1] == 0
    texts = [message["content"] for message in Conversation.load(conversation.path).messages[2:]]
    assert texts[::2] == texts[1::2]
    for name in "ab":
        assert [text for text in texts[::2] if text[0] == name] == [f"{name}{number}" for number in range(100)]


@pytest.mark.parametrize("saving", ["append", "replace", "first"])
def test_full_disk_is_one_error_and_leaves_the_file_as_it_was(store, saving):
    """A limit on the size of files is met like a full disk: the first part is written, then the write fails."""
    conversation = saved(store)
    before = bytes_of(conversation)
    large = exchange("x" * 100_000)

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        target = store.create() if saving == "first" else conversation
        with pytest.raises(LlamaCppError, match=r"^[^\n]+$"):
            (target.replace_last_exchange if saving == "replace" else target.append)(large)
        assert len(target.messages) == (0 if saving == "first" else 2)

    with forked(save) as pid:
        assert os.waitpid(pid, 0)[1] == 0
    assert bytes_of(conversation) == before
    assert os.listdir(store.directory) == [os.path.basename(conversation.path)]


def test_last_exchange_is_replaced(store):
    conversation = store.create()
    conversation.replace_last_exchange(exchange("Is it?"))
    conversation.append(exchange("Sure?", "No."))
    assert conversation.last_exchange() == conversation.messages[2:]
    conversation.replace_last_exchange(exchange("Sure?", "Yes!"))
    assert [message["content"] for message in Conversation.load(conversation.path).messages][2:] == ["Sure?", "Yes!"]
    conversation.replace_last_exchange([])
    assert len(Conversation.load(conversation.path).messages) == len(conversation.messages) == 2


def test_messages_of_another_writer_are_not_replaced(store):
    conversation = saved(store)
    Conversation.load(conversation.path).append(exchange("From elsewhere"))
    conversation.append(exchange("Mine"))
    with pytest.raises(LlamaCppError):
        conversation.replace_last_exchange([])
    assert len(Conversation.load(conversation.path).messages) == 6


def test_conversation_that_was_deleted_is_an_error(store):
    conversation = saved(store)
    store.delete(conversation.id)
    with pytest.raises(LlamaCppError, match="removed"):
        conversation.append(exchange("Still here?"))


def test_damaged_line_is_named(store):
    conversation = saved(store)
    lines = bytes_of(conversation).split(b"\n")
    with open(conversation.path, "wb") as stream:
        stream.write(b"\n".join([*lines[:2], b'{"role": 1}', lines[2], b""]))
    with pytest.raises(LlamaCppError, match=r"line 3 is damaged: role: expected: text"):
        store.find(conversation.id)


def test_latest_is_the_one_that_was_added_to_last(store):
    older, newer = saved(store, created=1), saved(store, created=2)
    os.utime(newer.path, (1000, 1000))
    assert store.latest().id == older.id
    older.rename("No new message")
    os.utime(older.path, (10, 10))
    older.rename("Still none")
    assert [summary.id for summary in store.summaries()] == [newer.id, older.id]


def test_list_reads_only_headers(store):
    conversation = saved(store, title="Mine")
    with open(conversation.path, "ab") as stream:
        stream.write(b"damaged\n")
    damaged = saved(store)
    with open(damaged.path, "wb") as stream:
        stream.write(b'{"format": 2}\n')
    found = {summary.id: summary for summary in store.summaries()}
    assert (found[conversation.id].title, found[conversation.id].problem) == ("Mine", None)
    assert "format 2" in found[damaged.id].problem


def test_conversation_is_found_by_identifier_its_beginning_and_title(store):
    conversation, other = saved(store, title="Cake", created=0), saved(store, title="Tea", created=10**9)
    for name in (conversation.id, "1970", "Cake"):
        assert store.find(name).id == conversation.id
    with pytest.raises(UsageError, match='did you mean "Cake"'):
        store.find("Cakes")
    saved(store, created=10**9)
    with pytest.raises(UsageError, match=other.id):
        store.find("2001")


def test_search_finds_titles_and_messages(store):
    conversation = saved(store, "How do I bake\na STRASSE?", title="Baking")
    saved(store, "Nothing")
    hits = list(store.search("strasse"))
    assert [(hit.summary.id, hit.role) for hit in hits] == [(conversation.id, "user")]
    assert hits[0].excerpt == "How do I bake a STRASSE?"
    assert [hit.role for hit in store.search("baking")] == [None]


def test_media_is_kept_as_path_and_hash(store, tmp_path):
    image, audio = tmp_path / "cat.png", tmp_path / "cat.wav"
    image.write_bytes(PNG)
    audio.write_bytes(b"RIFF")
    sent = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"RIFF").decode(), "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
    ]
    paths = [{}, {"path": str(image)}, {"path": str(audio)}, {}]
    conversation = store.create()
    conversation.append([{"role": "user", "content": [{**part, **path} for part, path in zip(sent, paths)]}])
    assert base64.b64encode(b"RIFF") not in bytes_of(conversation)
    found = store.find(conversation.id)
    assert found.messages[0]["content"][1]["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert found.request_messages() == [{"role": "user", "content": sent}]
    assert f"[image: {image}]" in markdown(found)
    image.write_bytes(b"another cat")
    with pytest.raises(LlamaCppError, match=r"cat\.png"):
        found.request_messages()


def test_exported_lines_are_a_conversation(store, tmp_path):
    conversation = saved(store)
    (tmp_path / "copy.jsonl").write_text(json_lines(conversation), encoding="utf-8")
    assert Store(str(tmp_path)).find("copy").messages == conversation.messages
