# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm chat`` as its user sees it: typed at, pasted into, interrupted, resized, with a server that fails."""

import contextlib
import json
import pty
import resource
import termios
import threading
import venv

import pytest
from llm_tools.chat.keys import ENOUGH, Keys
from support.fake_server_process import fake_server

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
POEM = "Two\n  lines\tand more"
ANSWERS = {FRANCE: PARIS, POEM: "A poem.", "Count.": "one two"}


class Chat:
    """``llm chat`` on a terminal; ``say`` types a line and waits for the next prompt."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.window = terminal.window
        terminal.wait_for(at_prompt)

    def type(self, keys, wanted):
        """Press the ``keys``; wait until ``wanted`` is shown behind what is there."""
        before = len(self.window.rows) - 1
        self.terminal.type(keys)
        self.terminal.wait_for(lambda window: wanted in "\n".join(window.rows[before:]))

    def say(self, line, wanted=""):
        """Send a ``line``; wait for what is ``wanted`` of its answer, and for the next prompt."""
        before = len(self.window.rows)
        self.terminal.type(line + "\r")
        self.terminal.wait_for(lambda window: answered(window.rows[before:], wanted))

    def end(self):
        """Its exit status after Ctrl-D."""
        self.terminal.type("\x04")
        return self.terminal.end()


def at_prompt(window):
    return window.rows[-1:] == [">"]


def answered(rows, wanted):
    return rows[-1:] == [">"] and wanted in "\n".join(rows)


@pytest.fixture
def chat(commands):
    """``with chat(*words)``: the Chat."""

    @contextlib.contextmanager
    def start(*words, **window):
        with commands.terminal("llm", "chat", *words, **window) as terminal:
            yield Chat(terminal)

    return start


def saved(tmp_path):
    """The messages of the only conversation."""
    (path,) = (tmp_path / "data" / "llm-client" / "conversations").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()][1:]


def test_a_conversation_that_is_typed_pasted_and_completed(chat, serve, tmp_path):
    with serve(answers=ANSWERS), chat(FRANCE) as talk:
        assert PARIS in talk.window.text
        talk.type("Two\n  lin", "lin")
        talk.type("\x1b[200~es\tand more\x1b[201~", "more")
        talk.say("")
        assert "A poem." in talk.window.text
        talk.type("/st\t", "> /stats")
        talk.say("", "first token")
        talk.type("/exi\t", "> /exit")
        talk.terminal.type("\r")
        assert talk.terminal.end() == 0
    assert [message["content"] for message in saved(tmp_path)] == [FRANCE, PARIS, POEM, "A poem."]
    history = tmp_path / "state" / "llm-client" / "history"
    assert history.stat().st_mode & 0o077 == 0 and "/exit" in history.read_text()


def test_ctrl_c_stops_the_answer_and_not_the_program(chat, serve, tmp_path):
    with serve("endless", ANSWERS), chat(columns=60, lines=10) as talk:
        talk.type("Count.\r", "one two one two")
        talk.terminal.resize(30, 10)
        talk.terminal.type("typed \x1b[Aahead")
        talk.type("\x03", "> typed ahead")
        talk.type("\x03\x03", "/exit")
        talk.terminal.wait_for(at_prompt)
        assert talk.end() == 0
    answer = saved(tmp_path)[-1]
    assert answer["content"].startswith("one two one two") and answer["finish_reason"] == "interrupted"


def test_an_answer_taller_than_the_window_is_shown_once(chat, serve):
    lines = [f"{number}. line" for number in range(40)]
    with serve(answers={"Count.": "\n".join(lines)}), chat(lines=10) as talk:
        talk.say("Count.", "39. line")
        assert talk.end() == 0
        assert talk.window.text.count(" line") == 40


def test_a_key_ends_the_reasoning(chat, serve, tmp_path):
    with serve("thinks", ANSWERS), chat() as talk:
        talk.type(FRANCE + "\r", "Hm. Hm.")
        talk.terminal.type("\x03")
        talk.terminal.wait_for(at_prompt)
        assert "Stopped. Ask again: /retry" in talk.window.rows
        talk.type("/retry\r", "Hm. Hm.")
        talk.terminal.type(ENOUGH.decode())
        talk.terminal.wait_for(at_prompt)
        assert talk.end() == 0
    assert saved(tmp_path)[-1]["content"] == PARIS


def test_a_server_that_fails_costs_no_prompt(chat, commands, tmp_path):
    def serving(mode, port=0):
        return fake_server(tmp_path, mode, ANSWERS, key="s3cret", port=port)

    with contextlib.ExitStack() as running:
        with serving("endless") as url:
            commands.config["server"].update(url=url, api_key_file=str(tmp_path / "key"))
            talk = running.enter_context(chat())
            talk.type("Count.\r", "one two one two")
            talk.terminal.type("/re")
        talk.terminal.wait_for("> /re")
        assert "in the middle of its answer" in talk.window.text
        talk.say("try", "No server answers")
        with serving("loading", port=int(url.rpartition(":")[2])):
            talk.say("/retry")
            (tmp_path / "key").write_text("wrong\n")
            talk.say(FRANCE, "The API key comes from")
            (tmp_path / "key").write_text("s3cret\n")
            talk.say("/retry", PARIS)
        assert talk.end() == 0
    assert [message["content"] for message in saved(tmp_path)] == ["Count.", "one two", FRANCE, PARIS]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_a_disk_that_is_full_for_a_while(chat, served, tmp_path):
    with chat() as talk:
        unlimited = resource.prlimit(talk.terminal.pid, resource.RLIMIT_FSIZE)
        talk.say(FRANCE)
        resource.prlimit(talk.terminal.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
        talk.say(FRANCE, "cannot be saved")
        resource.prlimit(talk.terminal.pid, resource.RLIMIT_FSIZE, unlimited)
        talk.say(FRANCE, "is saved")
        resource.prlimit(talk.terminal.pid, resource.RLIMIT_FSIZE, (0, unlimited[1]))
        talk.say(FRANCE, "cannot be saved")
        assert talk.end() == 1
        assert "2 messages were not saved" in talk.window.text
    assert [message["content"] for message in saved(tmp_path)] == [FRANCE, PARIS] * 3


def test_a_chat_without_a_line_editor(chat, commands, served, tmp_path):
    """The tools work in an environment that has nothing but Python."""
    venv.create(tmp_path / "bare")
    commands.python = str(tmp_path / "bare" / "bin" / "python")
    with chat() as talk:
        talk.say(FRANCE, PARIS)
        talk.say("typed\x03")
        talk.terminal.type("/exit\r")
        assert talk.terminal.end() == 0
    assert len(saved(tmp_path)) == 2


@pytest.mark.parametrize("words", [["chat", FRANCE], ["--mode", "chat", FRANCE], ["--mode=chat", *FRANCE.split()]])
def test_without_a_terminal_it_answers_one_prompt(commands, served, tmp_path, words):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, PARIS + "\n", "")
    assert [message["content"] for message in saved(tmp_path)] == [FRANCE, PARIS]


def test_stdin_is_one_prompt_as_it_is(commands, serve, tmp_path):
    diff = "@@ -1 +1 @@\n-a\n@@b"
    with serve(answers={diff: "A diff."}):
        assert commands.run("llm", "chat", stdin=diff).stdout == "A diff.\n"
    assert commands.run("llm", "chat").returncode == 2


def test_keys_are_read_one_by_one_and_the_terminal_is_as_before():
    """What moves a cursor is left out of what was typed; a line break stays."""
    ours, theirs = pty.openpty()
    presses = threading.Semaphore(0)
    with open(ours, "wb", buffering=0) as typist, open(theirs, encoding="utf-8") as terminal:
        before = termios.tcgetattr(theirs)
        with Keys(terminal, presses.release) as keys:
            assert not termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO)
            typist.write("one\r\x1b[A\x1bOBtwö\t".encode() + ENOUGH)
            assert presses.acquire(timeout=60)
        assert keys.typed == "one\ntwö"
        assert termios.tcgetattr(theirs) == before
