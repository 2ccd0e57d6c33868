# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm health``"""

import json

import pytest
from support.scripted_server import ScriptedServer, response


def health_of(commands, *words, environ=None):
    done = commands.run("llm", "health", "--json", *words, environ=environ)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("words", [["health"], ["--mode", "health"], ["--mode=health"]])
def test_ready(commands, served, words):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert served in done.stdout


def test_ready_as_json(commands, served):
    expected = {"state": "ready", "url": served, "build": "b0-0c1e570", "model": "tiny", "message": None}
    assert health_of(commands) == (0, expected)


def test_down(commands):
    code, health = health_of(commands)
    assert (code, health["state"]) == (3, "down")
    done = commands.run("llm", "health")
    assert (done.returncode, done.stdout) == (3, "")
    assert "refused" in done.stderr


def test_loading(commands, serve):
    with serve("loading-forever"):
        code, health = health_of(commands)
    assert (code, health["state"]) == (4, "loading")


@pytest.mark.parametrize("words", [[], ["--wait", "60"]])
def test_refused_key_is_noticed_and_not_waited_for(commands, served, words):
    """/health itself needs no key: only an authorised request can tell."""
    code, health = health_of(commands, *words, environ={"LLM_API_KEY": "wrong"})
    assert (code, health["state"]) == (5, "unauthorised")


def test_missing_key_says_how_to_give_one(commands, served):
    commands.config["server"]["api_key_file"] = None
    done = commands.run("llm", "health")
    assert done.returncode == 5
    assert "LLM_API_KEY" in done.stderr


def test_waits_until_ready(commands, serve):
    with serve("loading"):
        assert commands.run("llm", "health", "--wait", "60").returncode == 0


def test_waits_no_longer_than_asked(commands, serve):
    with serve("loading-forever"):
        assert commands.run("llm", "health", "--wait", "0.5").returncode == 4


def test_model_that_is_not_on_offer(commands, served):
    commands.config["server"]["model"] = "big"
    code, health = health_of(commands)
    assert (code, health["state"]) == (1, "failing")
    assert '"big"' in health["message"]


def test_router_whose_model_failed_is_not_healthy(commands):
    """A router calls itself healthy whatever became of its models (llama-server, /models)."""
    status = {"value": "unloaded", "failed": True, "exit_code": 1}
    models = {"data": [{"id": "tiny", "status": status}]}
    with ScriptedServer(response(200, json.dumps(models).encode())) as server:
        commands.config["server"]["url"] = server.url
        code, health = health_of(commands)
    assert (code, health["state"]) == (1, "failing")


def test_another_program_is_not_taken_for_the_server(commands):
    with ScriptedServer(response(404, b"<h1>Not Found</h1>")) as server:
        commands.config["server"]["url"] = server.url
        assert health_of(commands)[0] == 1
