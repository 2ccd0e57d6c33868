# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a server really serves what its model is for, and whether the model behind a router does."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import ServerError, StillLoading
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import check_server
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.readiness import (
    Unhealthy,
    identify,
    wait_until_ready,
)
from support.fake_router import FakeRouter
from support.scripted_server import ScriptedServer, response


def check(router, purpose):
    return check_server(router.url, model="main", purpose=purpose, timeout=30)


@pytest.mark.parametrize(("purpose", "says"), [("embedding", "a vector of 2 numbers"), ("rerank", "documents")])
def test_a_model_is_asked_for_what_it_is_for(purpose, says):
    with FakeRouter({"main": "unloaded", "other": "loaded"}, {"main": purpose}) as router:
        found = check(router, purpose)
        assert says in found["answer"] and found["tokens_per_second"] is None and found["model"] == "main"
        with pytest.raises(ServerError, match="501"):
            check(router, "chat" if purpose == "rerank" else "rerank")


@pytest.mark.parametrize("vector", [[0, 0, 0], [0.5, None], ["1"]])
def test_a_vector_of_nothing_is_no_embedding(vector):
    document = {"id": "main", "data": [{"id": "main", "embedding": vector}], "build_info": "b0-0c1e570"}
    with (
        ScriptedServer(response(200, json.dumps(document).encode())) as server,
        pytest.raises(Unhealthy, match="numbers"),
    ):
        check(server, "embedding")


def test_a_model_that_is_being_loaded_is_waited_for():
    states = []
    with FakeRouter({"main": "loading"}) as router:
        server = LlamaServer(router.url)

        def look(state, _seconds):
            states.append(state)
            if len(states) == 2:
                router.models["main"] = ("loaded", "well")

        wait_until_ready(server, 30, look, "main")
        assert states == ["loading", "loading", "ready"]
        wait_until_ready(server, 0)
        router.models["main"] = ("loading", "well")
        with pytest.raises(StillLoading):
            wait_until_ready(server, 0, model="main")


def test_a_model_that_could_not_be_loaded():
    failed = {"id": "main", "status": {"value": "unloaded", "failed": True, "exit_code": 1}}
    reply = json.dumps({"data": [failed], "build_info": "b0-0c1e570"}).encode()
    with ScriptedServer(response(200, reply)) as server:
        with pytest.raises(Unhealthy, match=r"could not load the model \"main\" \(exit status 1\)"):
            identify(LlamaServer(server.url), "main")
        assert identify(LlamaServer(server.url), "main", will_be_asked=True)["model"] == "main"
