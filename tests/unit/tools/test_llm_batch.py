# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``, as its user sees it."""

import json
import os
import resource
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.commands import interrupt
from support.fake_server_process import fake_server

FRANCE, PARIS = "What is the capital of France?", "The capital of France is Paris."
NUMBERS = {f"Number {number}?": f"It is {number}." for number in range(120)}
SECONDS = 60


@pytest.fixture
def files(tmp_path):
    """The names of an input, which asks for all numbers, and of an output."""
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"prompt": question}) + "\n" for question in NUMBERS), encoding="utf-8")
    return str(source), str(tmp_path / "out.jsonl")


def results_in(path):
    with open(path, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def answers_in(path):
    return [result["answer"] for result in results_in(path)]


def lines_in(path):
    try:
        with open(path, "rb") as stream:
            return stream.read().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_for_lines(path, number):
    assert wait_until(lambda: lines_in(path) >= number, SECONDS, 0.01)


@pytest.fixture
def slow(serve):
    """The commands are configured for a server that knows all numbers, and takes a moment for each."""
    with serve("unhurried", NUMBERS) as url:
        yield url


def test_lines_of_all_kinds(commands, served, tmp_path):
    body = {"messages": [{"role": "user", "content": FRANCE}]}
    lines = [
        json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}),
        json.dumps({"prompt": FRANCE, "max_tokens": 3}),
        json.dumps(FRANCE),
        "nonsense",
        json.dumps({"custom_id": "b", "url": "/v1/embeddings", "body": {"input": "x"}}),
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    done = commands.run("llm", "batch", str(tmp_path / "in.jsonl"))
    first, second, third, fourth, fifth = map(json.loads, done.stdout.splitlines())
    assert first["custom_id"] == "a" and first["response"]["status_code"] == 200
    assert first["response"]["body"]["choices"][0]["message"]["content"] == PARIS
    assert (second["answer"], second["finish_reason"]) == ("The", "length")
    assert third["answer"] == PARIS and third["error"] is None
    assert fourth["error"]["code"] == "invalid_json"
    assert fifth["response"]["status_code"] == 404 and fifth["error"]["code"] == "http_404"
    assert done.returncode == 1 and "5 lines, 2 failed, 1 cut off" in done.stderr


def test_prompts_from_stdin_and_a_summary(commands, served, tmp_path):
    output = str(tmp_path / "out.jsonl")
    options = ("-o", output, "--json", "-s", "Be short.", "-n", "3", "--parallel", "2")
    done = commands.run("llm", "batch", "-", "--text", *options, stdin=f"{FRANCE}\n{FRANCE}\n")
    assert answers_in(output) == ["The", "The"]
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["lines"], summary["failed"], summary["cut_off"]) == (0, 2, 0, 2)


def test_killed_and_continued(commands, slow, files):
    """With the last result cut in half, as a kill may leave it."""
    source, output = files
    for part in (30, 70):
        process = commands.start("llm", "batch", source, "-o", output, "--parallel", "8")
        wait_for_lines(output, part)
        process.kill()
        process.communicate()
        with open(output, "r+b") as stream:
            stream.truncate(stream.seek(0, 2) - 9)
        assert lines_in(output) < len(NUMBERS)
    done = commands.run("llm", "batch", source, "-o", output, "--parallel", "8")
    assert done.returncode == 0 and "120 lines, 0 failed" in done.stderr and "done before" in done.stderr
    assert answers_in(output) == list(NUMBERS.values())
    again = commands.run("llm", "batch", source, "-o", output)
    assert again.returncode == 0 and "120 done before" in again.stderr
    other = commands.run("llm", "batch", source, "-o", output, "-n", "3")
    assert other.returncode == 2 and "line 1 of" in other.stderr


def test_interrupted(commands, slow, files):
    source, output = files
    process = commands.start("llm", "batch", source, "-o", output)
    wait_for_lines(output, 20)
    interrupt(process)
    shown = process.communicate()[1].decode()
    assert process.returncode == 130 and "run the same command again" in shown and "Traceback" not in shown
    assert answers_in(output) == list(NUMBERS.values())[: lines_in(output)]


def test_interrupted_while_it_waits_for_stdin(commands, slow, tmp_path):
    output = tmp_path / "out.jsonl"
    process = commands.start("llm", "batch", "-", "-o", str(output), stdin=subprocess.PIPE)
    process.stdin.write(b'"Number 1?"\n"Number 2?"\n')
    process.stdin.flush()
    wait_for_lines(output, 2)
    interrupt(process)
    assert process.wait(SECONDS) == 130
    assert b"Traceback" not in process.stderr.read()


def test_a_server_that_is_started_again_in_the_middle(commands, files, tmp_path):
    source, output = files
    with fake_server(tmp_path, "unhurried", NUMBERS) as url:
        commands.config["server"]["url"] = url
        process = commands.start("llm", "batch", source, "-o", output, "--parallel", "8")
        wait_for_lines(output, 30)
    with fake_server(tmp_path, "loading", NUMBERS, port=int(url.rpartition(":")[2])):
        shown = process.communicate(timeout=SECONDS)[1].decode()
    assert process.returncode == 0 and shown.count("Trying again") == 1
    assert answers_in(output) == list(NUMBERS.values())


def test_a_server_that_stays_away(commands, files):
    source, output = files
    done = commands.run("llm", "batch", source, "-o", output, "--wait", "0.2")
    assert done.returncode == 3 and "No server answers" in done.stderr
    assert lines_in(output) == 0


def test_a_wrong_key_is_no_matter_of_patience(commands, served, files, tmp_path):
    source, output = files
    (tmp_path / "key").write_text("other\n")
    for options in ((), ("--parallel", "8")):
        done = commands.run("llm", "batch", source, "-o", output, *options)
        assert done.returncode == 5 and "refuses the API key" in done.stderr
    assert lines_in(output) == 0


def test_a_model_that_is_not_there(commands, served, files):
    done = commands.run("llm", "batch", *files[:1], "-o", files[1], "-m", "tinny")
    assert done.returncode == 2 and 'Did you mean "tiny"' in done.stderr


def test_a_full_disk_is_told_in_a_line_and_the_rest_comes_later(commands, served, files):
    source, output = files

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))

    process = commands.start("llm", "batch", source, "-o", output, preexec_fn=limit)
    shown = process.communicate()[1].decode()
    assert process.returncode == 1 and f"{output} cannot be written" in shown and "Traceback" not in shown
    assert 0 < lines_in(output) < len(NUMBERS)
    assert commands.run("llm", "batch", source, "-o", output).returncode == 0
    assert [result["index"] for result in results_in(output)] == list(range(len(NUMBERS)))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has that device")
def test_a_device_that_takes_nothing(commands, served, files):
    done = commands.run("llm", "batch", files[0], "-o", "/dev/full")
    assert done.returncode == 1 and "/dev/full cannot be written" in done.stderr


def test_a_reader_that_has_seen_enough(commands, served, files):
    process = commands.start("llm", "batch", files[0])
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(SECONDS) == 1


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams(commands, served, files, closed):
    source, output = files
    process = commands.start("llm", "batch", source, "-o", output, preexec_fn=lambda: [*map(os.close, closed)])
    assert process.communicate()[0] == b""
    assert process.returncode == 0 and lines_in(output) == len(NUMBERS)
    if 2 not in closed:
        to_stdout = commands.start("llm", "batch", source, preexec_fn=lambda: [*map(os.close, closed)])
        assert b"stdout is closed" in to_stdout.communicate()[1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["in.jsonl", "-o", "in.jsonl"], "is the input"),
        (["missing", "-o", "out.jsonl"], "missing: No such file"),
        (["in.jsonl", "-o", "."], "Is a directory"),
        (["in.jsonl", "-o", "diary", "--restart"], "is not the output of a batch"),
        (["in.jsonl", "--json"], "name a file"),
        (["in.jsonl", "--parallel", "0"], "from 1 to 1000"),
    ],
)
def test_what_cannot_be_done_is_refused(commands, files, tmp_path, monkeypatch, words, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "diary").write_text("Dear diary")
    done = commands.run("llm", "batch", *words)
    assert done.returncode in (1, 2) and named in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "diary").read_text() == "Dear diary" and lines_in(tmp_path / "in.jsonl") == len(NUMBERS)


def test_on_a_terminal_there_is_a_bar(commands, served, files):
    source, output = files
    status, shown = commands.on_terminal("llm", "batch", source, "-o", output, "--parallel", "4")
    assert status == 0
    assert "100 % 120/120 lines" in shown and "120 lines, 0 failed" in shown.splitlines()[-1]
