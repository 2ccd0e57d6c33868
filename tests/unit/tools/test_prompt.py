# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is asked, and with which options: read, checked, and refused by name."""

import json

import pytest
from llm_tools import prompt, sampling
from llm_tools.errors import UsageError
from support.paths import REPOSITORY
from support.scripted_server import ScriptedServer, event_stream, response


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("héllo".encode("utf-16"), "UTF-16"),
        ("héllo".encode("utf-32"), "UTF-32"),
        (b"\x7fELF\x02\x00\x00", "binary"),
        ("naïve".encode("latin-1"), "not UTF-8"),
    ],
)
def test_what_is_no_utf8_text_is_refused_by_name(content, named):
    with pytest.raises(UsageError, match=named) as caught:
        prompt.decoded(content, "notes.txt")
    assert "notes.txt" in str(caught.value)


def test_a_byte_order_mark_is_no_text():
    assert prompt.decoded("\ufeffhéllo".encode(), "notes.txt") == "héllo"


def test_refused_input_is_not_sent(commands, served):
    done = commands.start("llm", "Why?", stdin=-1)
    out, err = done.communicate("Why?".encode("utf-16"), timeout=60)
    assert (done.returncode, out) == (2, b"") and b"stdin is UTF-16 text" in err


def body_of(commands, *words, status=0, **options):
    done = commands.run("llm", "--dry-run", *words, **options)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)["body"] if status == 0 else done.stderr


def test_files_stdin_and_words_in_this_order(commands, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"text {name}\n")
    files = ["-f", str(tmp_path / "a"), "--file", str(tmp_path / "b")]
    body = body_of(commands, *files, "Compare.", stdin="piped\n")
    assert body["messages"][-1]["content"] == "text a\n\ntext b\n\npiped\n\nCompare."
    assert str(tmp_path / "c") in body_of(commands, "-f", str(tmp_path / "c"), "x", status=2)


def test_system_prompt_from_a_file(commands, tmp_path):
    (tmp_path / "system").write_text("Be kind.\n")
    body = body_of(commands, "-s", f"@{tmp_path}/system", "Why?")
    assert body["messages"][0] == {"role": "system", "content": "Be kind."}


def test_media_become_parts_and_their_place_stays_here(commands, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    media = ["--image", str(tmp_path / "a.png"), "--audio", str(tmp_path / "a.wav")]
    text, image, sound = body_of(commands, *media, "What?")["messages"][-1]["content"]
    assert text == {"type": "text", "text": "What?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,") and "path" not in image
    assert sound["input_audio"]["format"] == "wav" and "path" not in sound


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "-0.1"],
        ["-t", "nan"],
        ["--top-p", "1.1"],
        ["-n", "1.5"],
        ["-n", "-2"],
        ["--seed", "-1"],
        ["-o", "min_p=2"],
        ["-o", "novalue"],
    ],
)
def test_options_out_of_range_are_refused_here(commands, words):
    told = body_of(commands, *words, "x", status=2)
    assert words[-1] in told or words[-1].partition("=")[2] in told


def test_any_other_option_of_the_request(commands):
    body = body_of(commands, "-o", "cache_prompt=false", "-o", "grammar=root ::= x", "-o", "logit_bias=[[1,2]]", "x")
    assert (body["cache_prompt"], body["grammar"], body["logit_bias"]) == (False, "root ::= x", [[1, 2]])
    assert body_of(commands, "--stop", "a", "--stop", "b", "x")["stop"] == ["a", "b"]


def test_an_answer_has_a_limit_unless_it_is_lifted(commands):
    assert body_of(commands, "x")["max_tokens"] == sampling.MOST_TOKENS
    assert body_of(commands, "-n", "-1", "x")["max_tokens"] == -1


def test_ranges_are_those_of_the_configuration():
    schema = json.loads((REPOSITORY / "config" / "llm_config.schema.json").read_text())
    configured = schema["properties"]["client"]["properties"]
    for option in sampling.OPTIONS:
        if option.key in configured and option.key != "max_tokens":  # there, -1 cannot be meant for every answer
            assert (configured[option.key]["minimum"], configured[option.key]["maximum"]) == (option.low, option.high)


def test_template_with_variables(commands, tmp_path):
    templates = tmp_path / "config" / "llm-client" / "templates"
    templates.mkdir(parents=True)
    (templates / "tr.txt").write_text("system: Be exact.\ntemperature: 0\ntop_k: 5\n---\nSay in $language: $input")
    body = body_of(commands, "-T", "tr", "-p", "language=French", "--top-k", "7", "Hello")
    assert [message["content"] for message in body["messages"]] == ["Be exact.", "Say in French: Hello"]
    assert (body["temperature"], body["top_k"]) == (0, 7)
    (templates / "tr.txt").write_text("temperature: hot\n---\n$input")
    assert "tr.txt" in body_of(commands, "-T", "tr", "x", status=2)
    assert "--template" in body_of(commands, "-p", "a=b", "x", status=2)


# Judged after it has arrived

SCHEMA = {"type": "object", "properties": {"year": {"type": "integer", "minimum": 1900}}, "required": ["year"]}


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ('{"year": 1969}', 0, ""),
        ('{"year": 1}', 1, "$.year"),
        ("{}", 1, "required"),
        ("no JSON", 1, "no JSON"),
    ],
)
@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_an_answer_is_held_against_its_schema(commands, how, answer, status, told):
    message = {"role": "assistant", "content": answer}
    choice = json.dumps({"choices": [{"message": message, "delta": message, "finish_reason": "stop"}]}).encode()
    pieces = [response(200, choice)] if how else event_stream(b"data: %s\n\n" % choice, b"data: [DONE]\n\n")
    with ScriptedServer(*pieces) as server:
        commands.config["server"]["url"] = server.url
        done = commands.run("llm", *how, "--schema", json.dumps(SCHEMA), "When?")
    assert (done.returncode, done.stdout) == (status, answer + "\n")
    assert told in done.stderr


def test_what_is_no_schema_is_refused_before_it_is_sent(commands):
    assert "--schema" in body_of(commands, "--schema", '{"type": 5}', "x", status=2)


def test_calls_of_tools_are_shown(commands, tmp_path):
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    (tmp_path / "tools.json").write_text(json.dumps(tools))
    parts = [
        {"index": 0, "id": "1", "function": {"name": "weather", "arguments": '{"city":'}},
        {"index": 0, "function": {"arguments": ' "Paris"}'}},
        {"index": 1, "id": "2", "function": {"name": "weather", "arguments": "{"}},
    ]
    events = [{"choices": [{"delta": {"tool_calls": [part]}}]} for part in parts]
    events.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    lines = [b"data: %s\n\n" % json.dumps(event).encode() for event in events]
    with ScriptedServer(*event_stream(*lines, b"data: [DONE]\n\n")) as server:
        commands.config["server"]["url"] = server.url
        done = commands.run("llm", "--tools", str(tmp_path / "tools.json"), "Weather in Paris?")
        assert json.loads(server.requests[-1][2])["tools"] == tools
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"name": "weather", "arguments": {"city": "Paris"}},
        {"name": "weather", "arguments": "{"},
    ]


def test_what_is_no_list_of_tools_is_refused(commands):
    assert "--tools" in body_of(commands, "--tools", '[{"name": "x"}]', "x", status=2)
