# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A real llama-server behind a real gateway answers the clients of OpenAI and of Anthropic as it does without one."""

import importlib
import json
import os
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.gateway import HOSTS_KEY, KEYS, configured, fleet, gateway_to
from support.haproxy import HAPROXY
from support.paths import REPOSITORY
from support.supervised_server import free_port

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="There is no HAProxy on this machine.")

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
PAIR = json.loads((SELFTEST / "answers.json").read_text())["answers"][0]
ASKED = {"model": "tiny", "messages": [{"role": "user", "content": PAIR["question"]}], "temperature": 0}
MESSAGE = {"model": "tiny", "messages": ASKED["messages"], "max_tokens": 100}
START_SECONDS = 60


@pytest.fixture(scope="module")
def gateway(engine, tmp_path_factory):
    directory = tmp_path_factory.mktemp("host")
    (directory / "key").write_text(HOSTS_KEY + "\n")
    address = {"server_host": "127.0.0.2", "server_port": free_port()}
    command = [engine / "llama-server", "--model", SELFTEST / "selftest.gguf", "--alias", "tiny", "--no-ui"]
    command += ["--host", address["server_host"], "--port", str(address["server_port"]), "--threads", "1"]
    with open(directory / "log", "wb") as log:
        environment = {**os.environ, "LLAMA_ARG_API_KEY_FILE": str(directory / "key")}
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        with gateway_to(configured(llm_settings=address)) as gateway:
            # Its checks find it once it has loaded its model.
            assert wait_until(lambda: gateway.ask(json.dumps(ASKED)).status == 200, START_SECONDS, 0.2), (
                directory / "log"
            ).read_text()
            gateway.direct = f"http://{address['server_host']}:{address['server_port']}"
            yield gateway
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def openai():
    """Imported where it is used: not each process that collects tests has seconds to spare. So is the next."""
    return importlib.import_module("openai")


@pytest.fixture(scope="module")
def anthropic():
    return importlib.import_module("anthropic")


def test_openai_whole_and_streamed(gateway, openai):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEYS["anna"], max_retries=0)
    assert [model.id for model in client.models.list()] == ["tiny"]
    whole, line = gateway.logs(lambda: client.chat.completions.create(**ASKED))
    assert whole.choices[0].message.content == PAIR["answer"]
    used = (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert (line["prompt_tokens"], line["completion_tokens"]) == used and min(used) > 0
    pieces, line = gateway.logs(lambda: list(client.chat.completions.create(stream=True, **ASKED)))
    streamed = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(streamed) == PAIR["answer"] and len(streamed) > 5
    assert (line["prompt_tokens"], line["completion_tokens"]) == used
    with pytest.raises(openai.NotFoundError, match=r"The gateway has: tiny\.") as unknown:
        client.chat.completions.create(**{**ASKED, "model": "other"})
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


def test_anthropic_as_against_one_server(gateway, anthropic):
    url = f"http://127.0.0.1:{gateway.port}"
    client = anthropic.Anthropic(base_url=url, api_key=KEYS["jobs"], max_retries=0)
    direct = anthropic.Anthropic(base_url=gateway.direct, api_key=HOSTS_KEY)
    asked = {**MESSAGE, "extra_body": {"temperature": 0}}
    theirs = direct.messages.create(**asked)
    whole, line = gateway.logs(lambda: client.messages.create(**asked))
    assert whole.content == theirs.content and whole.content[0].text == PAIR["answer"]
    assert (whole.usage, whole.stop_reason) == (theirs.usage, theirs.stop_reason)
    # What was cached is a part of the prompt, which this usage counts apart.
    cached = whole.usage.cache_read_input_tokens
    used = (whole.usage.input_tokens + cached, whole.usage.output_tokens)
    assert cached and (line["client"], line["model"]) == ("jobs", "tiny")
    assert (line["prompt_tokens"], line["completion_tokens"]) == used

    def stream():
        with client.messages.stream(**asked) as events:
            return list(events.text_stream), events.get_final_message()

    (pieces, last), line = gateway.logs(stream)
    assert "".join(pieces) == PAIR["answer"] and len(pieces) > 5 and last.stop_reason == whole.stop_reason
    assert last.usage.cache_read_input_tokens and (line["prompt_tokens"], line["completion_tokens"]) == used
    counted = {"model": "tiny", "messages": ASKED["messages"]}
    assert client.messages.count_tokens(**counted) == direct.messages.count_tokens(**counted)
    with pytest.raises(anthropic.NotFoundError, match=r"The gateway has: tiny\.") as unknown:
        client.messages.create(**{**asked, "model": "other"})
    assert unknown.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError) as refused:
        client.with_options(api_key="wrong").messages.create(**asked)
    assert refused.value.body["error"]["type"] == "authentication_error"


def test_limits_are_known_to_both_clients_as_such(openai, anthropic):
    limited = [{"name": "anna", "key": KEYS["anna"], "requests_per_minute": 1}]
    with fleet("mini1", clients=limited) as (other, _hosts):
        assert other.ask().status == 200
        url = f"http://127.0.0.1:{other.port}"
        with pytest.raises(openai.RateLimitError) as refused:
            openai.OpenAI(base_url=url + "/v1", api_key=KEYS["anna"], max_retries=0).chat.completions.create(**ASKED)
        assert refused.value.code == "rate_limit_exceeded" and int(refused.value.response.headers["Retry-After"]) > 0
        with pytest.raises(anthropic.RateLimitError) as refused:
            anthropic.Anthropic(base_url=url, api_key=KEYS["anna"], max_retries=0).messages.create(**MESSAGE)
        assert refused.value.body["error"]["type"] == "rate_limit_error"
