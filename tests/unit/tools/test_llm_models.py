# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm models``"""

import json

import pytest
from support.scripted_server import ScriptedServer, response

ROUTED = [
    {"id": "tinyllama", "status": {"value": "loaded"}, "meta": {"n_ctx": 2048, "size": 667_000_000}},
    {"id": "a-name", "aliases": ["big"], "status": {"value": "unloaded"}},
]


@pytest.fixture
def router(commands):
    with ScriptedServer(response(200, json.dumps({"data": ROUTED}).encode())) as server:
        commands.config["server"]["url"] = server.url
        commands.config["models"] = [{"name": "big", "description": "A big one"}, {"name": "gone", "description": "x"}]
        yield server


@pytest.mark.parametrize("words", [["models"], ["--mode", "models"]])
def test_table(commands, router, words):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["tinyllama", "loaded", "2048", "636", "-"],
        ["big", "unloaded", "-", "-", "A", "big", "one"],
    ]


def test_json(commands, router):
    assert json.loads(commands.run("llm", "models", "--json").stdout)["models"] == [
        {"name": "tinyllama", "aliases": [], "state": "loaded", "context_size": 2048, "bytes": 667_000_000}
        | {"description": None},
        {"name": "big", "aliases": ["a-name"], "state": "unloaded", "context_size": None, "bytes": None}
        | {"description": "A big one"},
    ]


def test_single_model_has_no_status(commands, served):
    assert json.loads(commands.run("llm", "models", "--json").stdout)["models"][0]["state"] == "loaded"


def test_server_that_is_down(commands):
    done = commands.run("llm", "models", "--json")
    assert (done.returncode, done.stdout) == (3, "")
