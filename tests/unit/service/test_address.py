# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether the address of a server is another program's, before anything is changed for it."""

import json
import socket

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.runner.config import EXAMPLE
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollout import AddressTaken, Rollout


@pytest.fixture
def stranger():
    """The port of a program that is not ours."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def addressed(tmp_path, port, in_place=None):
    """A rollout of a server on ``port``, where the command line in place has another one, or there is none."""
    config = tmp_path / "runner.json"
    if in_place:
        config.write_text(json.dumps({**EXAMPLE, "argv": ["/bin/llama-server", "--port", str(in_place)]}))
    settings = {"engine_dir": str(tmp_path), "files": {str(config): ""}, "record": "", "keep_releases": 1}
    return Rollout({**settings, "health": {"url": f"http://127.0.0.1:{port}"}})


def test_an_address_at_which_another_program_listens_is_taken(tmp_path, stranger):
    for active, in_place in ((False, None), (False, stranger), (True, stranger + 1)):
        with pytest.raises(AddressTaken, match=rf"port {stranger} on 127\.0\.0\.1.*server_port.*lsof"):
            addressed(tmp_path, stranger, in_place).require_address(active)


def test_an_address_of_the_service_itself_is_not_taken(tmp_path, stranger):
    addressed(tmp_path, stranger).require_address(active=True)
    addressed(tmp_path, stranger, in_place=stranger).require_address(active=True)


def test_an_address_at_which_nobody_listens_is_free(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    addressed(tmp_path, port, in_place=port + 1).require_address(active=True)
    addressed(tmp_path, port).require_address(active=False)
