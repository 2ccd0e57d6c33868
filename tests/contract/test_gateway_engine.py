# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A real llama-server behind a real gateway answers the clients of OpenAI and of Anthropic as it does without one."""

import json
import os
import subprocess

import openai
import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.gateway import HOSTS_KEY, KEYS, configured, gateway_to
from support.haproxy import HAPROXY
from support.paths import REPOSITORY
from support.supervised_server import free_port

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="There is no HAProxy on this machine.")

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest"
PAIR = json.loads((SELFTEST / "answers.json").read_text())["answers"][0]
ASKED = {"model": "tiny", "messages": [{"role": "user", "content": PAIR["question"]}], "temperature": 0}
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
            yield gateway
    finally:
        server.kill()
        server.wait()


def test_openai_whole_and_streamed(gateway):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{gateway.port}/v1", api_key=KEYS["anna"], max_retries=0)
    assert [model.id for model in client.models.list()] == ["tiny"]
    whole, line = gateway.logs(lambda: client.chat.completions.create(**ASKED))
    assert whole.choices[0].message.content == PAIR["answer"]
    used = (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert (line["prompt_tokens"], line["completion_tokens"]) == used and min(used) > 0
    pieces = list(client.chat.completions.create(stream=True, **ASKED))
    streamed = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(streamed) == PAIR["answer"] and len(streamed) > 5
    with pytest.raises(openai.NotFoundError, match=r"The gateway has: tiny\."):
        client.chat.completions.create(**{**ASKED, "model": "other"})
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


def test_a_message_of_anthropic(gateway):
    headers = {"X-Api-Key": KEYS["jobs"], "Anthropic-Version": "2023-06-01"}
    body = json.dumps({**ASKED, "max_tokens": 100})
    reply, line = gateway.logs(lambda: gateway.ask(body, key=None, headers=headers, path="/v1/messages"))
    assert "".join(part.get("text", "") for part in json.loads(reply.text)["content"]) == PAIR["answer"]
    assert (line["client"], line["model"]) == ("jobs", "tiny") and line["completion_tokens"] > 0
