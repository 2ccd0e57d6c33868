# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm chat`` and the real llama-server: a conversation that goes on after the server was killed and started again."""

import contextlib
import json
import runpy

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from support.commands import Commands
from support.paths import REPOSITORY

RECORDING = REPOSITORY / "docs" / "render_recording.py"
RECORDED = REPOSITORY / "docs" / "recordings" / "chat.svg"
SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
HELLO, HELLO_ANSWER = "Hello!", "Hello! How can I help you?"
FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."


def started(engine, *arguments):
    """The server; with the shift of its context, an answer need not end."""
    options = ["--threads", "1", "--alias", "selftest", "--context-shift", *arguments]
    return TemporaryServer(str(engine / "llama-server"), str(SELFTEST), options)


def say(terminal, line, wanted):
    """Send a ``line``; wait for what is ``wanted`` of its answer, and for the next prompt."""
    before = len(terminal.window.rows)
    terminal.type(line + "\r")
    terminal.wait_for(lambda window: window.rows[-1] == ">" and wanted in "\n".join(window.rows[before:]))


def at_prompt(window):
    return window.rows[-1:] == [">"]


def let_it_speak(terminal, line):
    """Send a ``line``, and wait until its answer has some lines."""
    before = len(terminal.window.rows)
    terminal.type(line + "\r")
    terminal.wait_for(lambda window: len(window.rows) > before + 5)


def test_a_conversation_over_the_end_of_the_server(engine, tmp_path):
    commands = Commands(tmp_path)
    with contextlib.ExitStack() as running:
        first = started(engine)
        with first as server:
            commands.config["server"].update(url=server.base_url, model="selftest")
            terminal = running.enter_context(commands.terminal("llm", "chat", "-t", "0"))
            terminal.wait_for(at_prompt)
            say(terminal, HELLO, HELLO_ANSWER)
            say(terminal, "/set ignore_eos=true", "ignore_eos")
            say(terminal, "/set max_tokens=-1", "max_tokens")
            let_it_speak(terminal, FRANCE)
            terminal.type("\x03")
            terminal.wait_for("Stopped.")
            terminal.wait_for(at_prompt)  # what is typed before it waits there, and is not sent
            let_it_speak(terminal, "/regen")
            first._process.kill()
            terminal.wait_for("/retry")
        with started(engine, "--port", server.base_url.rpartition(":")[2]):
            say(terminal, "/set ignore_eos=false", "ignore_eos=False")
            say(terminal, "/retry", PARIS)
            say(terminal, "/stats", "of 256 tokens")
            picture = runpy.run_path(str(RECORDING))["render"](server.base_url)
            terminal.type("\x04")
            assert terminal.end() == 0
    (path,) = (tmp_path / "data" / "llm-client" / "conversations").iterdir()
    messages = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    assert [message["content"] for message in messages] == [HELLO, HELLO_ANSWER, FRANCE, PARIS]
    assert picture == RECORDED.read_text(encoding="utf-8"), "run: python docs/render_recording.py"
