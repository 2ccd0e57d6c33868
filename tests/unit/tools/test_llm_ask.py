# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm ask``, as its user sees it."""

import json
import re
import subprocess
import venv

import pytest
from support.commands import interrupt
from support.scripted_server import SILENCE, ScriptedServer, event_stream, response

FRANCE = "What is the capital of France?"
PARIS = "The capital of France is Paris."
MARKDOWN = "Say it in Markdown."
MARKDOWN_ANSWER = "# Title\n\nSome *text*.\n\n```python\nprint(1)\n```\n"


@pytest.mark.parametrize(
    "words",
    [
        [FRANCE],
        FRANCE.split(),
        ["ask", FRANCE],
        ["--mode", "ask", FRANCE],
        ["--mode=ask", FRANCE],
        ["--no-stream", FRANCE],
    ],
)
def test_answer_is_on_stdout_and_nothing_else_anywhere(commands, served, words):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, PARIS + "\n", "")


def test_words_and_options_may_be_mixed(commands, served):
    done = commands.run("llm", "What", "is", "-t", "0", "the", "capital", "--raw", "of", "France?")
    assert done.stdout == PARIS + "\n"


def test_question_from_stdin(commands, served):
    assert commands.run("llm", stdin=FRANCE + "\n").stdout == PARIS + "\n"


def request_of(commands, *words, stdin="", environ=None):
    done = commands.run("llm", "--dry-run", *words, stdin=stdin, environ=environ)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_every_request_of_a_conversation_tells_which_one_it_is_the_first_too(commands, tmp_path):
    answer = b'data: {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    lines = [["A?"], ["-c", "B?"], ["C?"], ["--no-save", "D?"], ["-c", "--no-save", "E?"]]
    with ScriptedServer(*event_stream(answer)) as server:
        for words in lines:
            assert commands.run("llm", "--server", server.url, *words).stdout == "Yes.\n"
    first, second, third, alone, look = [headers.get("x-llm-conversation") for _line, headers, _body in server.requests]
    assert first and first == second != third == look and alone is None
    assert sorted(path.stem for path in tmp_path.rglob("*.jsonl")) == sorted([first, third])
    assert request_of(commands, "-c", "Which?")["headers"]["X-LLM-Conversation"] == third


def test_a_program_names_its_conversation_itself():
    from llm_tools import Client

    with ScriptedServer(response(200, b'{"tokens": [1]}')) as server:
        for name in (None, "talk 7", "böse\r\nX-Evil: 1"):
            Client(server.url, conversation=name).tokenize("a")
    told = [headers.get("x-llm-conversation") for _line, headers, _body in server.requests]
    assert told == [None, "talk 7", r"b\xf6se\r\nX-Evil: 1"]


def test_stdin_is_put_before_the_words(commands):
    body = request_of(commands, "Say", "it", "shorter.", stdin="A long text.\n")["body"]
    assert body["messages"] == [{"role": "user", "content": "A long text.\n\nSay it shorter."}]


def test_options_become_the_request(commands):
    words = ["-m", "big", "-s", "Be short.", "-t", "0.5", "-n", "7", "--seed", "3", "--top-p", "0.9", "Why?"]
    assert request_of(commands, *words)["body"] == {
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Why?"}],
        "model": "big",
        "temperature": 0.5,
        "max_tokens": 7,
        "seed": 3,
        "top_p": 0.9,
        "stream": True,
    }


def test_configuration_gives_what_options_do_not(commands):
    commands.config["client"].update(
        command="llm", default_model="big", system_prompt="Be kind.", temperature=0.2, top_k=20, max_tokens=50
    )
    body = request_of(commands, "-n", "9", "Why?")["body"]
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}
    expected = {"model": "big", "temperature": 0.2, "top_k": 20, "max_tokens": 9, "stream": True}
    assert {key: value for key, value in body.items() if key != "messages"} == expected


def test_system_prompt_of_the_configuration_can_be_switched_off(commands):
    commands.config["client"]["system_prompt"] = "Be kind."
    assert request_of(commands, "-s", "", "Why?")["body"]["messages"] == [{"role": "user", "content": "Why?"}]


@pytest.mark.parametrize("in_file", [True, False])
def test_schema_from_a_file_or_the_command_line(commands, tmp_path, in_file):
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}}
    text = json.dumps(schema)
    if in_file:
        text = str(tmp_path / "a schema.json")
        (tmp_path / "a schema.json").write_text(json.dumps(schema))
    wanted = request_of(commands, "--schema", text, "When?")["body"]["response_format"]
    assert wanted["type"] == "json_schema"
    assert wanted["json_schema"]["schema"] == schema


@pytest.mark.parametrize("schema", ["{broken", "/nowhere/schema.json"])
def test_unusable_schema_is_a_usage_error(commands, schema):
    done = commands.run("llm", "--schema", schema, "When?")
    assert (done.returncode, done.stdout) == (2, "")
    assert schema in done.stderr or "--schema" in done.stderr


def test_dry_run_asks_nobody_and_shows_no_secret(commands, tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    commands.config["server"]["api_key_file"] = str(tmp_path / "key")
    request = request_of(commands, "Why?")
    assert request["url"] == "http://127.0.0.1:1/v1/chat/completions"
    assert str(tmp_path / "key") in request["headers"]["Authorization"]
    assert "s3cret" not in json.dumps(request)


def test_json_is_the_whole_reply(commands, served):
    reply = json.loads(commands.run("llm", "--json", FRANCE).stdout)
    assert reply["choices"][0]["message"]["content"] == PARIS
    assert reply["usage"]["completion_tokens"] > 0


def test_stats_are_on_stderr(commands, served):
    for how in ([], ["--no-stream"]):
        done = commands.run("llm", "--stats", *how, FRANCE)
        assert done.stdout == PARIS + "\n"
        assert "tokens/s" in done.stderr


def test_extract_prints_only_the_code(commands, served):
    done = commands.run("llm", "-x", MARKDOWN)
    assert (done.returncode, done.stdout) == (0, "print(1)\n")


def test_extract_without_code_prints_nothing(commands, served):
    done = commands.run("llm", "-x", FRANCE)
    assert (done.returncode, done.stdout) == (1, "")
    assert PARIS in done.stderr


def test_answer_that_was_cut_off_says_so(commands, served):
    done = commands.run("llm", "-n", "3", FRANCE)
    assert (done.returncode, done.stdout) == (6, "The\n")
    assert "cut off" in done.stderr and "--max-tokens" in done.stderr


def test_unknown_model_is_refused_with_the_nearest_name(commands, served):
    done = commands.run("llm", "-m", "tinny", FRANCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert '"tiny"' in done.stderr


@pytest.mark.parametrize("words", [[], ["ask"], ["--raw"]])
def test_no_question_is_a_usage_error(commands, served, words):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_model_for_something_else_is_not_asked(commands, served):
    commands.config["models"] = [{"name": "tiny", "purpose": "rerank"}]
    for words in ([FRANCE], ["-m", "tiny", FRANCE]):
        done = commands.run("llm", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert '"tiny" is configured for rerank' in done.stderr
    commands.config["models"] += [{"name": "vectors", "purpose": "embedding"}, {"name": "big", "purpose": "chat"}]
    assert "chat models: big." in commands.run("llm", FRANCE).stderr
    commands.config["server"]["url"] = "http://127.0.0.1:1"  # what is said of this one says nothing of another
    done = commands.run("llm", FRANCE, environ={"LLM_BASE_URL": served, "LLM_API_KEY": "s3cret"})
    assert (done.returncode, done.stdout) == (0, PARIS + "\n")


@pytest.mark.parametrize("question", ["health", "models", "status", "--mode"])
def test_question_that_looks_like_a_command(commands, question):
    words = ["ask", "--dry-run", "--", question]
    body = json.loads(commands.run("llm", *words).stdout)["body"]
    assert body["messages"] == [{"role": "user", "content": question}]


def test_bytes_that_are_no_text_do_no_harm(commands, served):
    done = commands.run("llm", "What is \udcff?")
    assert (done.returncode, done.stdout) == (0, "?\n")


@pytest.mark.parametrize("how", [["--raw"], ["--no-stream"], []])
def test_reasoning_goes_to_stderr(commands, how):
    thought, answer = "Let me see.", "Paris."
    message = {"role": "assistant", "content": answer, "reasoning_content": thought}
    whole = response(200, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    deltas = [{"reasoning_content": "Let me "}, {"reasoning_content": "see."}, {"content": "Par"}, {"content": "is."}]
    events = [b"data: %s\n\n" % json.dumps({"choices": [{"delta": delta}]}).encode() for delta in deltas]
    pieces = [whole] if "--no-stream" in how else event_stream(*events, b"data: [DONE]\n\n")
    with ScriptedServer(*pieces) as server:
        commands.config["server"]["url"] = server.url
        done = commands.run("llm", *how, "Where?")
    assert (done.returncode, done.stdout) == (0, answer + "\n")
    assert done.stderr.strip() == thought


@pytest.mark.parametrize(
    ("how", "finish", "thought"),
    [([], "length", "Let me see"), (["--no-stream"], "stop", "Let me see"), (["--no-stream"], "length", "")],
)
def test_a_reply_without_an_answer_is_a_failure(commands, how, finish, thought):
    said = {"content": " ", "reasoning_content": thought}
    choice = {"index": 0, "message": said, "delta": said, "finish_reason": finish}
    document = json.dumps({"choices": [choice]}).encode()
    reply = [response(200, document)] if how else event_stream(b"data: %s\n\n" % document, b"data: [DONE]\n\n")
    with ScriptedServer(*reply) as server:
        commands.config["server"]["url"] = server.url
        done = commands.run("llm", *how, "Where?")
    assert (done.returncode, done.stdout.strip()) == (6, "")
    assert done.stderr.startswith(thought) and "\nllm: the model gave no answer" in "\n" + done.stderr
    assert ("--max-tokens" in done.stderr) == (finish == "length")


# On a terminal


TAGS = """\
if 0<foo or foo>10, a vector<int> & <b>bold</b> <!-- a remark -->

<details>
<summary>More</summary>
hidden text
</details>

<https://a.example>, **strong**, `<code>`
"""


def test_what_looks_like_a_tag_is_part_of_the_answer(commands):
    event = json.dumps({"choices": [{"delta": {"content": TAGS}, "finish_reason": "stop"}]}).encode()
    with ScriptedServer(*event_stream(b"data: %s\n\n" % event, b"data: [DONE]\n\n")) as server:
        commands.config["server"]["url"] = server.url
        status, shown = commands.on_terminal("llm", "q", environ={"NO_COLOR": "1"})
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert status == 0
    for text in (
        "0<foo or foo>10",
        "vector<int> & <b>bold</b> <!-- a remark -->",
        "<summary>More</summary>",
        "hidden text",
    ):
        assert text in shown
    assert "https://a.example" in shown and ", strong, <code>" in shown


def test_answer_on_a_terminal_is_rendered(commands, served):
    status, shown = commands.on_terminal("llm", MARKDOWN)
    assert status == 0
    assert "Title" in shown
    assert "# Title" not in shown
    assert "*text*" not in shown


@pytest.mark.parametrize(("words", "environ"), [(["--raw"], {}), ([], {"TERM": "dumb"})])
def test_raw_answer_on_a_terminal(commands, served, words, environ):
    status, shown = commands.on_terminal("llm", *words, MARKDOWN, environ=environ)
    assert (status, shown) == (0, MARKDOWN_ANSWER.replace("\n", "\r\n"))


def test_no_color_is_honoured(commands, served):
    coloured, plain = (commands.on_terminal("llm", MARKDOWN, environ=environ)[1] for environ in ({}, {"NO_COLOR": "1"}))
    colour = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;5|48;5)[0-9;]*m")
    assert colour.search(coloured)
    assert not colour.search(plain)


def test_an_answer_cannot_steer_the_terminal(commands, served):
    for how in ([], ["--raw"]):
        _, shown = commands.on_terminal("llm", *how, "What is \x1b?")
        assert "\x1b[2J" not in shown
        assert "the screen." in shown


def test_plain_answer_without_rich(commands, served, tmp_path):
    """The tools work in an environment that has nothing but Python."""
    venv.create(tmp_path / "bare")
    commands.python = str(tmp_path / "bare" / "bin" / "python")
    status, shown = commands.on_terminal("llm", MARKDOWN)
    assert (status, shown) == (0, MARKDOWN_ANSWER.replace("\n", "\r\n"))


def test_another_server_is_sent_what_all_servers_know(commands):
    with ScriptedServer(*event_stream(b"data: [DONE]\n\n")) as server:
        for own in (True, False):
            commands.config["server"]["url"] = server.url if own else "http://127.0.0.1:1"
            commands.on_terminal("llm", "Where?", environ={} if own else {"LLM_BASE_URL": server.url})
        ours, theirs = (json.loads(body) for _first, _headers, body in server.requests)
    assert "return_progress" in ours
    assert theirs.keys() == {"messages", "stream", "max_tokens"}


# A server that is not ready


def test_a_model_that_loads_is_waited_for(commands, serve):
    with serve("loading"):
        assert commands.run("llm", FRANCE).stdout == PARIS + "\n"


def test_on_a_terminal_the_waiting_is_seen(commands, serve):
    with serve("loading"):
        status, shown = commands.on_terminal("llm", "--raw", FRANCE)
    assert status == 0 and "loading, " in shown and PARIS in shown


def test_a_reply_in_a_conversation_that_cannot_be_saved_is_printed_all_the_same(commands, served, tmp_path):
    (tmp_path / "data").write_text("a file in the place of the directory")
    done = commands.run("llm", FRANCE)
    assert (done.returncode, done.stdout) == (1, PARIS + "\n")
    assert str(tmp_path / "data") in done.stderr
    assert commands.run("llm", "--no-save", FRANCE).returncode == 0


def test_what_was_interrupted_is_saved(commands):
    head, first, *_ = event_stream(b'data: {"choices": [{"delta": {"content": "One"}}]}\n\n')
    with ScriptedServer(head, first, SILENCE) as server:
        commands.config["server"]["url"] = server.url
        process = commands.start("llm", "Count.")
        assert process.stdout.read(3) == b"One"
        interrupt(process)
        process.communicate(timeout=60)
    body = request_of(commands, "-c", "Go on.")["body"]
    assert [message["content"] for message in body["messages"]] == ["Count.", "One", "Go on."]


# Ends before the end


def test_reader_that_has_enough_is_no_trouble(commands, serve):
    with serve(answers={"Count.": "1 2 3 " * 20000}):
        process = commands.start("llm", "Count.")
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(timeout=60) == 1


def test_interrupt_ends_with_130_and_keeps_what_was_printed(commands):
    head, first, *_ = event_stream(b'data: {"choices": [{"delta": {"content": "One"}}]}\n\n')
    with ScriptedServer(head, first, SILENCE) as server:
        commands.config["server"]["url"] = server.url
        process = commands.start("llm", "Count.")
        assert process.stdout.read(3) == b"One"
        interrupt(process)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"\n", b"")


def test_a_stdin_that_stays_silent_is_explained(commands, served):
    process = commands.start("llm", stdin=subprocess.PIPE)
    assert b"stdin" in process.stderr.readline()
    out, _ = process.communicate(FRANCE.encode(), timeout=60)
    assert (process.returncode, out.decode()) == (0, PARIS + "\n")
