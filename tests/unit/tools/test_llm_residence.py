# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm load`` and ``llm unload``; the real router is in the contract tests."""

import json

import pytest
from support.scripted_server import ScriptedServer, response


@pytest.mark.parametrize("command", ["load", "unload"])
def test_a_server_with_one_model_does_it_by_itself(commands, served, command):
    done = commands.run("llm", command, "tiny")
    assert (done.returncode, done.stdout) == (1, "") and "one model" in done.stderr


def test_a_model_that_cannot_be_loaded(commands):
    models = {"data": [{"id": "big", "status": {"value": "unloaded", "failed": True, "exit_code": 1}}]}
    with ScriptedServer(response(200, json.dumps(models).encode())) as server:
        commands.config["server"]["url"] = server.url
        done = commands.run("llm", "load", "big")
        assert any(first.startswith("POST /models/load ") for first, _headers, _body in server.requests)
    assert (done.returncode, done.stdout) == (1, "") and "exit status 1" in done.stderr


def test_an_unknown_model_is_named_with_those_that_there_are(commands, served):
    done = commands.run("llm", "load", "tny")
    assert done.returncode == 2 and '"tny"' in done.stderr and "tiny" in done.stderr
