# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the commands and prompts of ``llm chat`` do to the conversation, without a terminal."""

import errno
import io
import json
import os
import stat

import pytest
from llm_tools import cli, llm
from llm_tools.chat import repl
from llm_tools.chat.commands import COMMANDS, obey
from llm_tools.chat.completion import candidates
from llm_tools.chat.session import Session
from llm_tools.conversations import conversation as conversation_file
from llm_tools.core.base.errors import LlamaCppError
from llm_tools.core.llama.errors import NotRunning
from llm_tools.environment import Environment
from llm_tools.errors import Incomplete, UsageError
from llm_tools.user_files import conversations_dir

PNG = b"\x89PNG\r\n\x1a\n"
FULL = OSError(errno.ENOSPC, "No space left on device")


class Model:
    """A server; ``replies`` are lists of pieces of answers, and of what is raised between them. Then it says yes."""

    def __init__(self):
        self.replies, self.bodies, self.conversations = [], [], []
        self.conversation = None

    def within(self, _seconds):
        return self

    def in_conversation(self, identifier):
        self.conversation = identifier
        return self

    def models(self):
        return [{"id": "tiny", "meta": {"n_ctx": 100}}, {"id": "big"}, {"id": "vectors"}]

    def chat_stream(self, **body):
        self.bodies.append(body)
        self.conversations.append(self.conversation)
        for piece in self.replies.pop(0) if self.replies else ["Yes."]:
            if isinstance(piece, BaseException):
                raise piece
            yield {"choices": [{"delta": {"content": piece}}]}
        yield {"choices": [{"delta": {}, "finish_reason": "stop"}], "timings": {"prompt_n": 80, "predicted_n": 5}}

    def asked(self, number=-1):
        """The messages of a request, as (role, content)."""
        return [(message["role"], message["content"]) for message in self.bodies[number]["messages"]]


class Chat:
    """A session in ``directory``; its ``model`` answers in the words of ``replies``."""

    def __init__(self, directory, *words):
        environ = {f"XDG_{kind}_HOME": str(directory / kind) for kind in ("DATA", "CONFIG", "STATE")}
        self.errors = io.StringIO()
        self.environment = Environment("llm", environ, None, io.StringIO(), self.errors)
        self.environment.stdin = None
        self.environment.config = {
            "server": {"url": "http://127.0.0.1:1", "model": "tiny"},
            "models": [{"name": "vectors", "purpose": "embedding"}],
        }
        self.model = Model()
        self.environment.server = lambda timeout: self.model
        arguments = cli.build_parser("llm", llm, "chat").parse(words)
        self.session = Session(self.environment, arguments)

    def ask(self, text, *pieces):
        self._answers(pieces)
        self.session.prompt(text)

    def obey(self, line, *pieces):
        self._answers(pieces)
        obey(self.session, line)

    def _answers(self, pieces):
        self.model.replies = [pieces] if pieces else []

    @property
    def said(self):
        return self.errors.getvalue()

    @property
    def lines(self):
        """The lines of the conversation's file."""
        with open(self.session.transcript.conversation.path, encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]

    @property
    def saved(self):
        return [(line["role"], line["content"]) for line in self.lines[1:]]


@pytest.fixture
def chat(tmp_path):
    return Chat(tmp_path)


def conversation(*texts):
    return [(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]


def test_every_exchange_is_sent_with_those_before_it_and_saved(chat):
    chat.ask("Is it?")
    chat.ask("Really?", "No", ".")
    assert chat.model.asked() == conversation("Is it?", "Yes.", "Really?")
    assert chat.saved == conversation("Is it?", "Yes.", "Really?", "No.")
    assert (chat.lines[0]["title"], chat.lines[0]["model"]) == ("Is it?", "tiny")


def test_a_stopped_answer_stays_and_says_so(chat):
    chat.ask("Count.", "One, ", KeyboardInterrupt())
    assert chat.lines[-1]["finish_reason"] == "interrupted"
    chat.ask("Go on.")
    assert chat.model.asked() == conversation("Count.", "One, ", "Go on.")
    assert "finish_reason" not in chat.lines[-1]


def test_an_answer_that_was_stopped_before_it_began_can_be_asked_again(chat):
    chat.ask("Count.", KeyboardInterrupt())
    assert chat.session.transcript.messages == []
    chat.obey("/retry")
    assert chat.saved == conversation("Count.", "Yes.")


@pytest.mark.parametrize("pieces", [["One, ", NotRunning("It is gone.")], [NotRunning("It is gone.")]])
def test_a_prompt_without_an_answer_is_asked_again(chat, pieces):
    chat.ask("Is it?")
    with pytest.raises(NotRunning):
        chat.ask("Count.", *pieces)
    chat.obey("/retry", "One.")
    assert chat.model.asked() == conversation("Is it?", "Yes.", "Count.")
    assert chat.saved == conversation("Is it?", "Yes.", "Count.", "One.")
    with pytest.raises(UsageError, match="/regen"):
        chat.obey("/retry")


def test_a_prompt_that_got_no_answer_names_no_conversation(chat):
    with pytest.raises(NotRunning):
        chat.ask("Count.", NotRunning("It is gone."))
    chat.ask("Is it?")
    assert chat.lines[0]["title"] == "Is it?"


def test_an_empty_answer_is_no_part_of_the_conversation(chat):
    with pytest.raises(Incomplete):
        chat.ask("Is it?", "")
    assert chat.session.failed
    assert chat.session.transcript.messages == []


def test_regen_puts_an_answer_in_the_place_of_the_last_one(chat):
    chat.ask("Is it?")
    chat.ask("Really?")
    with pytest.raises(NotRunning):
        chat.obey("/regen", NotRunning("It is gone."))
    assert chat.saved == conversation("Is it?", "Yes.", "Really?", "Yes.")
    chat.obey("/retry", "No.")
    assert chat.model.asked() == conversation("Is it?", "Yes.", "Really?")
    assert chat.saved == conversation("Is it?", "Yes.", "Really?", "No.")


def test_regen_of_nothing_is_refused(chat):
    with pytest.raises(UsageError):
        chat.obey("/regen")


def test_clear_begins_a_conversation_of_its_own(chat):
    chat.ask("Is it?")
    before = chat.session.transcript.conversation.path
    chat.obey("/read " + __file__)
    chat.obey("/clear")
    chat.ask("Hello")
    assert chat.model.asked() == conversation("Hello")
    assert chat.session.transcript.conversation.path != before and os.path.exists(before)


def test_the_server_is_told_which_conversation_it_is_from_its_first_prompt_on(chat):
    chat.ask("Is it?")
    first = chat.session.transcript.conversation.id
    chat.ask("Really?")
    chat.obey("/clear")
    chat.ask("Hello")
    chat.obey(f"/load {first}")
    chat.ask("Once more?")
    told = chat.model.conversations
    assert told == [first, first, told[2], first] and told[2] not in (None, first)


def test_load_goes_on_with_a_conversation_its_model_and_its_system_prompt(chat, tmp_path):
    chat.session.model, chat.session.system = "big", "Be brief."
    chat.ask("Is it?")
    other = Chat(tmp_path)
    other.obey("/load")
    assert chat.session.transcript.conversation.id in other.said
    other.obey(f"/load {chat.session.transcript.conversation.id}")
    other.ask("Really?")
    assert other.model.asked() == [("system", "Be brief."), *conversation("Is it?", "Yes.", "Really?")]
    assert other.model.bodies[-1]["model"] == "big"
    assert other.saved == conversation("Is it?", "Yes.", "Really?", "Yes.")


def test_a_conversation_is_continued_and_saved_only_on_demand(chat, tmp_path):
    chat.ask("Is it?")
    other = Chat(tmp_path, "-c", "--no-save")
    other.ask("Really?", "No.")
    other.ask("Sure?")
    other.obey("/regen", "Quite.")
    assert other.model.asked(1) == conversation("Is it?", "Yes.", "Really?", "No.", "Sure?")
    assert chat.saved == other.saved == conversation("Is it?", "Yes.")
    other.obey("/save A question")
    assert other.saved == conversation("Is it?", "Yes.", "Really?", "No.", "Sure?", "Quite.")
    assert other.lines[0]["title"] == "A question"


def test_a_title_may_be_given_before_the_first_answer(chat):
    chat.obey("/save A question")
    chat.ask("Is it?")
    assert chat.lines[0]["title"] == "A question"


def test_a_full_disk_is_told_once_and_nothing_is_lost(chat, monkeypatch):
    chat.session.interactive = True
    chat.ask("One?")

    def full(*_arguments):
        raise FULL

    with monkeypatch.context() as patched:
        patched.setattr(conversation_file.os, "write", full)
        chat.ask("Two?")
        chat.ask("Three?")
        assert chat.said.count("disk is full") == 1
        assert not chat.session.leave()
    assert chat.model.asked() == conversation("One?", "Yes.", "Two?", "Yes.", "Three?")
    assert chat.saved == conversation("One?", "Yes.")
    chat.ask("Four?")
    assert chat.saved == conversation("One?", "Yes.", "Two?", "Yes.", "Three?", "Yes.", "Four?", "Yes.")
    assert chat.session.leave()


def test_an_answer_in_the_place_of_one_that_could_not_be_saved(chat, monkeypatch):
    def full(*_arguments):
        raise FULL

    chat.ask("One?")
    with monkeypatch.context() as patched:
        patched.setattr(conversation_file, "write_atomically", full)
        chat.obey("/regen", "No.")
        chat.ask("Two?")
        chat.obey("/regen", "Never.")
        assert chat.session.transcript.unsaved == 4
    chat.ask("Three?")
    assert chat.saved == conversation("One?", "No.", "Two?", "Never.", "Three?", "Yes.")


def test_files_stand_before_the_prompt(chat, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("print('```')\n")
    (tmp_path / "b c.txt").write_text("Two.\n")
    (tmp_path / "x.png").write_bytes(PNG)
    chat.obey("/glob *.p*")
    chat.ask('Compare @"b c.txt", @a.py. And @@home, a@b.c')
    text = chat.model.asked()[0][1]
    code, blocks = "a.py:\n````py\nprint('```')\n````", "b c.txt:\n```txt\nTwo.\n```"
    assert text == "\n\n".join([code, blocks, code, "Compare b c.txt, a.py. And @home, a@b.c"])
    assert "x.png" in chat.said
    chat.ask("And then?")
    assert chat.model.asked()[-1] == ("user", "And then?")


def test_a_diff_is_sent_as_it_is(chat):
    chat.ask("@@ -1,2 +1,2 @@\n-a\n+b")
    assert chat.model.asked()[-1][1] == "@@ -1,2 +1,2 @@\n-a\n+b"


@pytest.mark.parametrize("name", ["missing.txt", "binary", "."])
def test_a_prompt_with_an_unreadable_file_is_not_sent(chat, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "binary").write_bytes(b"\0")
    with pytest.raises(UsageError):
        chat.ask(f"What is in @{name} here?")
    assert chat.model.bodies == []


def test_an_image_comes_with_the_next_prompt_and_again_with_those_after_it(chat, tmp_path):
    (tmp_path / "my cat.png").write_bytes(PNG)
    chat.obey("/image " + str(tmp_path / "my cat.png").replace(" ", "\\ "))  # as it is dropped onto a window
    chat.ask("What is it?")
    chat.ask("Really?")
    for body in chat.model.bodies:
        text, image = body["messages"][0]["content"]
        assert text["text"] == "What is it?"
        assert image["image_url"]["url"].startswith("data:image/png;base64,") and "path" not in image
    assert str(tmp_path / "my cat.png") in json.dumps(chat.lines)


def test_options_have_their_range(chat):
    chat.obey("/set temperature=0.5")
    for wrong in ("temperature=hot", "top_p=2", "temperature"):
        with pytest.raises(UsageError, match=r"temperature|top_p|NAME=VALUE"):
            chat.obey(f"/set {wrong}")
    chat.ask("Is it?")
    assert chat.model.bodies[-1]["temperature"] == 0.5


def test_model_and_system_prompt_of_the_next_prompts(chat, tmp_path):
    (tmp_path / "system.txt").write_text("Be kind.\n")
    chat.obey("/model")
    assert "* tiny" in chat.said and "big" in chat.said and "vectors" not in chat.said
    chat.obey("/model big")
    chat.obey(f"/system @{tmp_path / 'system.txt'}")
    chat.ask("Is it?")
    assert chat.model.asked() == [("system", "Be kind."), ("user", "Is it?")]
    assert chat.model.bodies[-1]["model"] == chat.lines[0]["model"] == "big"
    assert chat.lines[0]["system"] == "Be kind."
    chat.obey('/system ""')
    chat.ask("Really?")
    assert chat.model.asked() == conversation("Is it?", "Yes.", "Really?")
    for wrong, named in (("bgi", '"big"'), ("vectors", "embedding")):
        with pytest.raises(UsageError, match=named):
            chat.obey(f"/model {wrong}")
    assert chat.session.model == "big"


def test_a_model_that_is_none_costs_no_prompt(tmp_path):
    chat = Chat(tmp_path, "-m", "tinny")
    with pytest.raises(UsageError, match='"tiny"'):
        chat.ask("Is it?")
    chat.obey("/model big")
    chat.obey("/retry")
    assert chat.model.bodies[-1]["model"] == "big"


def test_stats_tell_the_use_of_the_context(chat):
    with pytest.raises(UsageError):
        chat.obey("/stats")
    chat.ask("Is it?")
    chat.obey("/stats")
    assert "85 of 100 tokens" in chat.said


def test_little_context_is_told(chat):
    chat.session.interactive = True
    chat.ask("Is it?")
    assert "15 of 100" in chat.said


def test_an_answer_is_judged_by_the_schema(tmp_path):
    chat = Chat(tmp_path, "--schema", '{"type": "integer"}')
    chat.ask("When?", "1969")
    with pytest.raises(LlamaCppError, match="schema"):
        chat.ask("When?", '"soon"')


@pytest.mark.parametrize(("typed", "meant"), [("/modle", "/model"), ("/quit", "/exit"), ("/usr/bin/env", "//usr")])
def test_an_unknown_command_is_named_and_not_asked(chat, typed, meant):
    with pytest.raises(UsageError, match=meant):
        chat.obey(typed)
    assert chat.model.bodies == []


@pytest.mark.parametrize("line", ["/read", "/clear all", "/"])
def test_a_command_with_too_little_or_too_much(chat, line):
    with pytest.raises(UsageError):
        chat.obey(line)


def test_lines_that_are_no_prompts_and_one_that_only_looks_like_a_command(chat):
    for line in ("exit", " Quit ", "", "   "):
        repl.obeyed_or_asked(chat.session, line)
    assert chat.model.bodies == [] and not chat.session.ended
    repl.obeyed_or_asked(chat.session, "//etc is what?")
    assert chat.model.asked() == conversation("/etc is what?")
    repl.obeyed_or_asked(chat.session, "/exit")
    assert chat.session.ended


def test_a_failure_is_told_and_the_chat_goes_on(chat):
    chat.model.replies.append([NotRunning("No server answers.")])
    repl.guarded(chat.session, repl.obeyed_or_asked, "Is it?")
    assert "No server answers." in chat.said and "/retry" in chat.said


def test_the_prompt_is_written_in_an_editor(chat, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s\\nIs it?" "$(cat "$1")" > "$1.new" && mv "$1.new" "$1"\n')
    editor.chmod(0o700)
    chat.environment.environ["EDITOR"] = str(editor)
    chat.obey("/edit Say:")
    assert chat.model.asked() == conversation("Say:\nIs it?")


def texts(chat, before):
    return [found.text for found in candidates(chat.session, before)]


def test_completion(chat, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("note.txt", "a note.txt", ".hidden"):
        (tmp_path / "here" / name).write_text("")
    (tmp_path / "here" / "notes").mkdir()
    chat.ask("Is it?")
    assert texts(chat, "/re") == ["/regen", "/retry", "/read "]
    assert set(texts(chat, "/")) == {f"/{name}" + " " * bool(command.argument) for name, command in COMMANDS.items()}
    assert texts(chat, "/model b") == ["big"]
    assert texts(chat, "/load 2") == [chat.session.transcript.conversation.id]
    assert texts(chat, "/set te") == ["temperature="]
    assert texts(chat, "/read n") == ["note.txt", "notes/"]
    assert texts(chat, "/system @n") == ["note.txt", "notes/"]
    assert texts(chat, "Look at @n") == ["@note.txt", "@notes/"]
    assert texts(chat, "Look at @a") == ['@"a note.txt"']
    assert texts(chat, 'Look at @"a n') == ['@"a note.txt"']
    assert texts(chat, f"@{tmp_path}/he") == [f"@{tmp_path}/here/"]
    assert ".hidden" not in texts(chat, "/read ") and texts(chat, "/read .h") == [".hidden"]
    assert texts(chat, "a/b me@n") == texts(chat, "//re") == []


def test_completion_survives_a_server_that_is_gone(chat):
    def gone():
        raise LlamaCppError("gone")

    chat.model.models = gone
    assert texts(chat, "/model ") == []


def test_the_history_is_private_and_has_no_secret(tmp_path):
    editor = pytest.importorskip("llm_tools.chat.editor")
    path = tmp_path / "state" / "history"
    history = editor.History(str(path), "s3cret")
    for text in ("first\nline two", " a private one", "my key is s3cret", "x" * 20_000, "not \udcff text"):
        history.append_string(text)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(editor.History(str(path), None).load_history_strings()) == ["not ? text", "first\nline two"]


def test_a_history_that_cannot_be_written_is_no_trouble(tmp_path):
    editor = pytest.importorskip("llm_tools.chat.editor")
    (tmp_path / "file").write_text("")
    history = editor.History(str(tmp_path / "file" / "history"), None)
    history.append_string("Is it?")
    assert history.get_strings() == ["Is it?"]


def test_the_directory_is_the_users(chat):
    chat.ask("Is it?")
    assert chat.session.store.directory == conversations_dir(chat.environment.environ)
