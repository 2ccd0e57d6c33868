# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What both commands do alike: exit statuses, help, slips of the finger, configuration."""

import errno
import importlib
import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from llm_tools.exit_codes import ExitCode
from support.commands import TOOLS, interrupt
from support.scripted_server import SILENCE, ScriptedServer

REPOSITORY = Path(__file__).resolve().parents[3]


# Exit statuses


def of_success(commands, serve):
    with serve():
        return commands.run("llm", "What is the capital of France?").returncode


def of_failure(commands, serve):
    with serve():
        return commands.run("llm", "-x", "What is the capital of France?").returncode


def of_usage(commands, serve):
    return commands.run("llm", "--temperature", "hot", "Why?").returncode


def of_not_running(commands, serve):
    return commands.run("llm", "Why?").returncode


def of_still_loading(commands, serve):
    with serve("loading-forever"):
        return commands.run("llm", "--wait", "0", "Why?").returncode


def of_not_authorised(commands, serve):
    with serve():
        return commands.run("llm", "Why?", environ={"LLM_API_KEY": "wrong"}).returncode


def of_incomplete(commands, serve):
    with serve():
        return commands.run("llm", "-n", "3", "What is the capital of France?").returncode


def of_interrupted(commands, serve):
    with ScriptedServer(b"", SILENCE) as server:
        commands.config["server"]["url"] = server.url
        process = commands.start("llm", "Why?")
        while not server.requests:
            assert process.poll() is None
        interrupt(process)
        assert process.communicate(timeout=60) == (b"", b"")
    return process.returncode


@pytest.mark.parametrize("code", list(ExitCode), ids=lambda code: code.name)
def test_every_exit_status(commands, serve, code):
    assert globals()["of_" + code.name.lower()](commands, serve) == code


# Help and slips


@pytest.mark.parametrize(
    ("program", "words"),
    [("llm", ["--help"]), ("llm", ["-h"]), ("llm", ["help"]), ("llm-manager", ["--help"]), ("llm-manager", [])],
)
def test_overview_names_every_command(commands, program, words):
    done = commands.run(program, *words)
    assert (done.returncode, done.stderr) == (0, "")
    names = ("ask", "health", "models") if program == "llm" else ("status", "start", "stop", "restart", "logs", "test")
    for name in names:
        assert f"{program} {name}" in done.stdout


def test_nothing_typed_on_a_terminal_is_answered_with_help(commands):
    status, shown = commands.on_terminal("llm")
    assert status == 0
    assert "llm models" in shown


@pytest.mark.parametrize(("program", "command"), [("llm", "ask"), ("llm-manager", "status")])
def test_help_of_a_command_by_either_word(commands, program, command):
    told = [commands.run(program, *words) for words in (("help", command), (command, "--help"))]
    assert [(done.returncode, f"usage: {program} {command} " in done.stdout) for done in told] == [(0, True)] * 2


def test_the_client_may_have_another_name(commands):
    assert "my-llm models" in commands.run("my-llm", "--help").stdout
    assert "my-llm health" in commands.run("my-llm", "helth").stderr


@pytest.mark.parametrize("program", ["llm", "llm-manager"])
def test_version_is_that_of_the_collection_and_tells_ours_from_others(commands, program):
    version = re.search(r"^version: (.*)$", (REPOSITORY / "galaxy.yml").read_text(), re.MULTILINE)[1]
    assert commands.run(program, "--version").stdout == f"{program} {version} (macos_setup.llm)\n"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        (["llm", "helth"], "llm health"),
        (["llm", "model"], "llm models"),
        (["llm", "--json", "health"], "llm health"),
        (["llm", "status"], "llm-manager status"),
        (["llm", "logs", "-f"], "llm-manager logs"),
        (["llm", "--mode", "helth"], "health"),
        (["llm-manager", "statsu"], "llm-manager status"),
        (["llm-manager", "health"], "llm health"),
        (["llm-manager", "What is 2+2?"], 'llm "What is 2+2?"'),
        (["llm-manager", "--json", "status"], "llm-manager --help"),
    ],
)
def test_slips_are_answered_with_what_was_meant(commands, line, meant):
    done = commands.run(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert meant in done.stderr


@pytest.mark.parametrize("question", [["health of bees?"], ["test", "the", "waters"], ["hello"], ["stop war"]])
def test_questions_are_not_taken_for_slips(commands, question):
    done = commands.run("llm", "--dry-run", *question)
    assert json.loads(done.stdout)["body"]["messages"][0]["content"] == " ".join(question)


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        (["ls"], "llm models"),
        (["pull", "qwen"], "configuration"),
        (["serve"], "llm-manager start"),
        (["run", "qwen"], "llm ask"),
        (["embd"], "llm embed"),
        (["keys"], "LLM_API_KEY"),
    ],
)
def test_commands_of_other_programs_are_no_prompts(commands, served, words, instead):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert instead in done.stderr and f"llm ask {' '.join(words)}" in done.stderr
    for how in (["ask", *words], ["--", *words], [*words, "and", "tell", "me"]):
        assert commands.run("llm", *how).stdout == "?\n"


@pytest.mark.parametrize(
    "line", [["llm", "--bogus", "Why?"], ["llm", "models", "extra"], ["llm", "models", "--", "extra"]]
)
def test_usage_errors_tell_where_to_learn_more(commands, line):
    done = commands.run(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--help" in done.stderr


# Configuration


def test_no_configuration_at_all(commands):
    done = commands.run("llm", "Why?", environ={"LLAMA_CPP_CLIENT_CONFIG": ""})
    assert (done.returncode, done.stdout) == (2, "")
    assert "LLM_BASE_URL" in done.stderr


@pytest.mark.parametrize("content", [None, "{broken"])
def test_unusable_configuration_file_is_named(commands, tmp_path, content):
    path = tmp_path / "broken.json"
    if content:
        path.write_text(content)
    done = commands.run("llm", "Why?", environ={"LLAMA_CPP_CLIENT_CONFIG": str(path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert str(path) in done.stderr


@pytest.mark.parametrize("url", ["localhost", "ftp://host", "http://me:s3cret@host"])
def test_unusable_address(commands, url):
    done = commands.run("llm", "Why?", environ={"LLM_BASE_URL": url})
    assert (done.returncode, done.stdout) == (2, "")
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("content", [None, "", "k3y \n"], ids=["missing", "empty", "blank at its end"])
def test_unusable_key_file(commands, tmp_path, content):
    if content is not None:
        (tmp_path / "key").write_text(content)
    commands.config["server"]["api_key_file"] = str(tmp_path / "key")
    done = commands.run("llm", "Why?")
    assert (done.returncode, done.stdout) == (2, "")
    assert str(tmp_path / "key") in done.stderr
    assert "k3y" not in done.stderr


def test_another_server_gets_nothing_of_the_configured_one(commands, tmp_path):
    """Its key and its model stay here; sampling defaults are the user's own and go along."""
    (tmp_path / "key").write_text("s3cret\n")
    commands.config["server"]["api_key_file"] = str(tmp_path / "key")
    commands.config["client"]["temperature"] = 0.5
    environ = {"LLM_BASE_URL": "http://127.0.0.1:2/v1"}
    request = json.loads(commands.run("llm", "--dry-run", "Why?", environ=environ).stdout)
    assert request["url"] == "http://127.0.0.1:2/v1/chat/completions"
    assert "Authorization" not in request["headers"]
    assert "model" not in request["body"]
    assert request["body"]["temperature"] == 0.5


def test_own_key_for_another_server(commands, serve):
    with serve() as url:
        commands.config["server"].update(url="http://127.0.0.1:1", api_key_file=None)
        environ = {"LLM_BASE_URL": url, "LLM_API_KEY": "s3cret"}
        assert commands.run("llm", "What is the capital of France?", environ=environ).returncode == 0


def test_conventional_variables_of_cloud_services_are_not_followed(commands, serve):
    with serve() as url:
        commands.config["server"].update(url="http://127.0.0.1:1", api_key_file=None)
        environ = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "s3cret"}
        assert commands.run("llm", "Why?", environ=environ).returncode == 3


# Output that nobody takes

#: Every way of writing: plain text, argparse's help, JSON, a table, an answer as it comes.
WRITING = [
    ["llm", "--version"],
    ["llm-manager", "status", "--help"],
    ["llm", "--dry-run", "Why?"],
    ["llm", "models"],
    ["llm", "What is the capital of France?"],
]
by_line = pytest.mark.parametrize("line", WRITING, ids=" ".join)


@by_line
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_a_full_stdout_is_an_error_in_one_line(commands, served, line):
    with open("/dev/full", "w") as full:
        process = commands.start(*line, stdout=full)
        said = process.communicate(timeout=60)[1].decode()
    assert (process.returncode, said.count("\n")) == (ExitCode.FAILURE, 1), said
    assert "stdout: No space left on device" in said


@by_line
def test_a_closed_stdout_is_an_error_in_one_line(commands, served, line):
    command, environment = commands._prepared(line[0], line[1:], None)
    closing = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(closing, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (ExitCode.FAILURE, 1), done.stderr
    assert b"stdout" in done.stderr


@by_line
def test_a_reader_that_has_gone_is_no_noise(commands, served, line):
    reader, writer = os.pipe()
    os.close(reader)
    process = commands.start(*line, stdout=writer)
    os.close(writer)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == ExitCode.FAILURE


def test_a_closed_stderr_costs_only_what_would_be_said(commands):
    command, environment = commands._prepared("llm", ["--version"], None)
    closing = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    done = subprocess.run(closing, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0 and done.stdout.startswith(b"llm ")


# Installation


def test_copied_tree_runs_by_itself(commands, tmp_path, monkeypatch):
    """As on a host: the links are followed, Python's own settings do not matter, the path has a space."""
    copy = tmp_path / "a place" / "tools"
    copy.parent.mkdir()
    subprocess.run(["cp", "-RL", str(TOOLS), str(copy)], check=True)
    monkeypatch.setattr("support.commands.TOOLS", copy)
    monkeypatch.chdir(tmp_path)
    done = commands.run("llm", "--dry-run", "Why?", environ={"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"})
    assert json.loads(done.stdout)["body"]["messages"][0]["content"] == "Why?"


def test_a_full_disk_is_told_without_a_traceback(monkeypatch, capsys):
    cli = importlib.import_module("llm_tools.cli")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/logs/a")

    monkeypatch.setattr(cli, "run", full)
    monkeypatch.setattr(cli, "sys", SimpleNamespace(stdin=None, stdout=None, stderr=None))
    assert cli.main("llm", []) == ExitCode.FAILURE
    assert "llm: /logs/a: No space left on device. The disk is full" in capsys.readouterr().err
