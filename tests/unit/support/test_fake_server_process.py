# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The process of ``tests/support`` that the tests of the commands talk to."""

import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import NotAuthorised
from support.fake_server_process import fake_server


def test_serves_its_answers_while_it_is_lent(tmp_path):
    question = [{"role": "user", "content": "Who?"}]
    with fake_server(tmp_path, answers={"Who?": "Me."}, alias="small") as url:
        server = LlamaServer(url)
        assert server.chat(question)["choices"][0]["message"]["content"] == "Me."
        assert server.models()[0]["id"] == "small"
    host, port = url.partition("://")[2].split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_asks_for_its_key(tmp_path):
    with fake_server(tmp_path, key="s3cret") as url:
        with pytest.raises(NotAuthorised):
            LlamaServer(url).props()
        assert LlamaServer(url, "s3cret").props()


def test_a_stand_in_that_dies_is_reported(tmp_path):
    with pytest.raises(AssertionError, match="failed to load"), fake_server(tmp_path, mode="dies"):
        pass
