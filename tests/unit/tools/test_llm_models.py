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
def router(commands, tmp_path):
    for name, count in (("big.gguf", 2), ("big-mmproj.gguf", 1)):
        (tmp_path / name).write_bytes(bytes(count * 2**20))
    with ScriptedServer(response(200, json.dumps({"data": ROUTED}).encode())) as server:
        commands.config["server"]["url"] = server.url
        commands.config["server"]["model"] = "tinyllama"
        big = {"name": "big", "description": "A big one", "context_size": 4096, "license": "mit", "dest": "/x"}
        commands.config["models"] = [big, {"name": "gone", "description": "x"}]
        commands.config["files"] = [
            {"name": "big", "dest": str(tmp_path / name)} for name in ("big.gguf", "big-mmproj.gguf")
        ]
        yield server


@pytest.mark.parametrize("words", [["models"], ["--mode", "models"]])
def test_table(commands, router, words):
    done = commands.run("llm", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["tinyllama*", "-", "loaded", "2048", "-", "636", "MiB", "-", "-"],
        ["big", "(a-name)", "chat", "unloaded", "4096", "3", "MiB", "-", "mit", "A", "big", "one"],
    ]


def test_json(commands, router):
    small, big = json.loads(commands.run("llm", "models", "--json").stdout)["models"]
    assert small == {
        **{"name": "tinyllama", "aliases": [], "default": True, "purpose": None, "state": "loaded"},
        **{"context_size": 2048, "trained_context": None, "bytes": None, "memory_bytes": 667_000_000},
        **{"license": None, "description": None},
    }
    assert big == {
        **{"name": "big", "aliases": ["a-name"], "default": False, "purpose": "chat", "state": "unloaded"},
        **{"context_size": 4096, "trained_context": None, "bytes": 3 * 2**20, "memory_bytes": None},
        **{"license": "mit", "description": "A big one"},
    }


def test_single_model_has_no_status(commands, served):
    assert json.loads(commands.run("llm", "models", "--json").stdout)["models"][0]["state"] == "loaded"


def test_server_that_is_down(commands):
    done = commands.run("llm", "models", "--json")
    assert (done.returncode, done.stdout) == (3, "")


def test_a_model_of_which_only_the_name_is_configured(commands, served):
    commands.config["models"] = [{"name": "tiny"}]
    assert json.loads(commands.run("llm", "models", "--json").stdout)["models"][0]["bytes"] is None
