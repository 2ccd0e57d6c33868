# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service does not run, and somebody else answers at its port: no command tells him the key, or a question."""

import os

import pytest
from support.scripted_server import ScriptedServer, response

KEY = "s3cret"
ANSWER = response(200, b'{"status": "ok", "data": [{"id": "tiny"}], "build_info": "b1-x"}')


@pytest.fixture
def stranger(commands, tmp_path):
    """The server of another user than the one whose configuration it is."""
    if os.geteuid() != 0:
        pytest.skip("needs root to give a file away")
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "client.json").touch()
    os.chown(tmp_path / "client.json", 65534, 65534)
    commands.config["service"] = {
        "manager": "supervisor",
        "program": "llama-server",
        "definition": str(tmp_path / "supervisord.conf"),
        "supervisord": "/nowhere/supervisord",
    }
    commands.config["watchdog"] = {
        "log": str(tmp_path / "watchdog.log"),
        "state_file": str(tmp_path / "watchdog.json"),
    }
    with ScriptedServer(ANSWER) as server:
        commands.config["server"].update(url=server.url, api_key_file=str(tmp_path / "key"))
        yield server


@pytest.mark.parametrize(
    "line",
    ["llm health", "llm models", "llm ask What is my password?", "llm-manager status", "llm-manager test"],
)
def test_the_key_is_not_told(commands, stranger, line):
    done = commands.run(*line.split())
    assert done.returncode == 1, done.stderr
    assert "the API key was not sent" in done.stderr or "another program answers" in done.stderr
    for first, headers, body in stranger.requests:
        assert first == "GET /health HTTP/1.1" and not body
        assert KEY not in str(headers)


def test_nor_by_the_watchdog_who_does_nothing_about_it(commands, stranger):
    done = commands.run("llm-manager", "watchdog", "--once")
    assert done.stdout.startswith("unclear: ") and "the API key was not sent" in done.stdout
    assert not stranger.requests


def test_a_key_of_the_environment_is_as_secret(commands, stranger):
    assert commands.run("llm", "models", environ={"LLM_API_KEY": KEY}).returncode == 1
    assert not stranger.requests


def test_who_names_both_server_and_key_knows_why(commands, stranger):
    done = commands.run("llm", "models", environ={"LLM_API_KEY": KEY, "LLM_BASE_URL": stranger.url})
    assert done.returncode == 0, done.stderr
    assert [headers["authorization"] for _first, headers, _body in stranger.requests] == [f"Bearer {KEY}"]
