# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a server really serves, tried on servers that do and on servers that only look like it."""

import contextlib
import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import readiness
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import (
    NotAnswering,
    NotAuthorised,
    NotRunning,
    StillLoading,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.health import (
    check_server,
    nobody_listens,
)
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.readiness import (
    Unhealthy,
    identify,
    wait_until_ready,
)
from support.fake_server_process import FAKE, fake_server
from support.scripted_server import SILENCE, ScriptedServer, response
from support.supervised_server import free_port

HELLO = {"Say hello.": "Hello. How are you?"}
BUILD = "b0-0c1e570"


@pytest.fixture
def nowhere():
    return f"http://127.0.0.1:{free_port()}"


def test_healthy_server(tmp_path):
    with fake_server(tmp_path, "loading", HELLO, key="s3cret") as url:
        result = check_server(
            url,
            api_key_file=str(tmp_path / "key"),
            model="tiny",
            expected_build=BUILD,
            require_key=True,
            log_file=str(tmp_path / "server.log"),
            timeout=60,
        )
    assert result.pop("ready_after") > 0
    assert result.pop("tokens_per_second") > 0
    assert result == {"build": BUILD, "model": "tiny", "answer": "Hello. How are y", "devices": {}}


def test_model_needs_no_name(tmp_path):
    with fake_server(tmp_path, answers=HELLO) as url:
        assert check_server(url, timeout=60)["model"] == "tiny"


def refused(kind, url, **options):
    """The text of the failure, which is of exactly this kind."""
    with pytest.raises(LlamaCppError) as caught:
        check_server(url, **{"timeout": 60, **options})
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def test_nobody_there(nowhere, tmp_path):
    log = tmp_path / "server.log"
    log.write_text("error: invalid argument: --mlock\n")
    text = refused(NotRunning, nowhere, timeout=0.3, log_file=str(log))
    assert nowhere in text
    assert '"--mlock"' in text
    assert str(log) in text


def test_log_that_was_never_written(nowhere, tmp_path):
    assert "none.log" in refused(NotRunning, nowhere, timeout=0, log_file=str(tmp_path / "none.log"))


def test_never_ready(tmp_path):
    with fake_server(tmp_path, "loading-forever") as url:
        refused(StillLoading, url, timeout=0.3)


def test_wrong_build_is_the_server_of_before(tmp_path):
    with fake_server(tmp_path, answers=HELLO) as url:
        text = refused(Unhealthy, url, expected_build="b2-abcdef0", log_file=str(tmp_path / "server.log"))
    assert BUILD in text
    assert "b2-abcdef0" in text
    assert "listening on" in text


def test_model_that_is_not_served(tmp_path):
    with fake_server(tmp_path) as url:
        assert "tiny" in refused(Unhealthy, url, model="big")


def test_router_without_a_model_is_not_healthy():
    """llama-server without --model calls itself healthy and offers nothing."""
    with ScriptedServer(response(200, json.dumps({"data": []}).encode())) as server:
        assert "no model" in refused(Unhealthy, server.url)


def test_server_that_answers_strangers_is_refused(tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    with fake_server(tmp_path, answers=HELLO) as url:
        text = refused(Unhealthy, url, api_key_file=str(tmp_path / "key"), require_key=True)
    assert "without an API key" in text


def test_server_that_refuses_our_key(tmp_path):
    with fake_server(tmp_path, answers=HELLO, key="s3cret") as url:
        (tmp_path / "key").write_text("another\n")
        text = refused(NotAuthorised, url, api_key_file=str(tmp_path / "key"))
    assert "another" not in text


def test_unusable_key_file_is_told_before_anything_else(nowhere, tmp_path):
    assert "key" in refused(LlamaCppError, nowhere, api_key_file=str(tmp_path / "key"))


def test_wedged_server_is_found_out(tmp_path):
    with fake_server(tmp_path, "wedged") as url:
        assert LlamaServer(url).health() == "ready"
        assert "nothing for" in refused(NotAnswering, url, timeout=0.5)


def test_answer_without_a_token():
    reply = {
        "data": [{"id": "tiny"}],
        "choices": [{"message": {"content": ""}}],
        "usage": {"completion_tokens": 0},
    }
    with ScriptedServer(response(200, json.dumps(reply).encode())) as server:
        assert "before the first token" in refused(Unhealthy, server.url)


def test_aliases_are_names_of_a_model_too():
    reply = {"data": [{"id": "tiny", "aliases": ["small"]}], "build_info": BUILD}
    with ScriptedServer(response(200, json.dumps(reply).encode())) as server:
        assert identify(LlamaServer(server.url), "small") == {"build": BUILD, "model": "small"}


def test_waiting_goes_on_from_not_running_over_loading_to_ready(tmp_path):
    port = free_port()
    seen = []
    with contextlib.ExitStack() as stack:

        def look(state, seconds):
            if not seen:
                stack.enter_context(fake_server(tmp_path, "loading", port=port))
            seen.append(state)

        assert wait_until_ready(LlamaServer(f"http://127.0.0.1:{port}"), 60, look) > 0
    assert list(dict.fromkeys(seen)) == ["not running", "loading", "ready"]


def test_a_stranger_who_never_answers_does_not_hold_up_the_looks(monkeypatch):
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.2)
    states = []

    def look(state, seconds):
        states.append(state)
        if len(states) == 2:
            raise LlamaCppError("the service has ended")

    with ScriptedServer(SILENCE) as server:
        assert "the service has ended" in refused(LlamaCppError, server.url, timeout=5, on_look=look)
        assert states == ["not answering"] * 2
        told = refused(NotAnswering, server.url, timeout=0.3)
        assert "0.2 s, so the request was canceled. Timed out after 0.3 s" in told


def test_the_wait_can_be_followed(tmp_path):
    seen = []
    with fake_server(tmp_path, "loading", HELLO) as url:
        check_server(url, timeout=60, on_look=lambda state, seconds: seen.append(state))
    assert list(dict.fromkeys(seen)) == ["loading", "ready"]


def test_nobody_listens(tmp_path, nowhere):
    assert nobody_listens(nowhere)
    with fake_server(tmp_path, "loading-forever") as url:
        assert not nobody_listens(url)
    with ScriptedServer(b"220 mail.example.org\r\n") as server:
        assert not nobody_listens(server.url)


# Devices

METAL = "MTL0: Apple M2 (10922 MiB, 10922 MiB free)\nBLAS: Accelerate (0 MiB, 0 MiB free)"


def test_expected_device(tmp_path, monkeypatch):
    with fake_server(tmp_path, answers=HELLO) as url:
        monkeypatch.delenv("FAKE_LLAMA_DEVICES", raising=False)
        assert "MTL0" in refused(Unhealthy, url, server=str(FAKE), expected_device="MTL0")
        monkeypatch.setenv("FAKE_LLAMA_DEVICES", METAL)
        result = check_server(url, server=str(FAKE), expected_device="MTL0", timeout=60)
    assert "Apple M2" in result["devices"]["MTL0"]
