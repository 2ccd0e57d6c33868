# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The supervised stand-in of ``tests/support``."""

import os
import tempfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.errors import NotRunning
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.readiness import wait_until_ready
from support.supervised_server import SUPERVISORD, SupervisedServer

pytestmark = pytest.mark.skipif(SUPERVISORD is None, reason="supervisor is not installed here")


def test_serves_from_start_to_close():
    with tempfile.TemporaryDirectory(prefix="sv") as root:
        supervised = SupervisedServer(os.path.realpath(root))
        server = LlamaServer(supervised.url, "s3cret")
        try:
            supervised.service.start()
            wait_until_ready(server, 30)
            assert server.props()["model_alias"] == "tiny"
            assert "listening on" in supervised.log.read_text()
        finally:
            supervised.close()
        with pytest.raises(NotRunning):
            server.health()
