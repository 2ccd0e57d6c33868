# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a probe makes of a worker, and of whatever else is at its address. (Of a real one: contract/test_rpc.py.)"""

import struct

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.rpc_worker import NoWorker, ask
from support.fake_rpc_worker import hello, memory, reply, rpc_worker
from support.supervised_server import free_port


def test_a_worker_tells_the_memory_of_each_device_and_another_version_only_its_own():
    with rpc_worker(memory(98304, 24576)) as endpoint:
        assert ask(endpoint) == ((7, 0, 0), (98304, 24576))
    with rpc_worker([hello(8)]) as endpoint:
        assert ask(endpoint) == ((8, 0, 0), ())


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([None], "does not answer within"),  # in use: one connection after the other
        ([hello(), None], "does not answer within"),
        ([], "no worker"),
        ([b"SSH-2.0-OpenSSH_9.9\r\n" * 9], "no worker"),
        ([hello(), reply(struct.pack("<I", 0))], "offers 0 devices"),
    ],
)
def test_what_is_no_worker_or_is_in_use(answers, why):
    with rpc_worker(answers) as endpoint, pytest.raises(NoWorker, match=why):
        ask(endpoint, seconds=0.2)


def test_nothing_is_there():
    with pytest.raises(NoWorker, match="refused"):
        ask(f"127.0.0.1:{free_port()}")
