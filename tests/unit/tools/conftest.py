# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the tests of the commands share."""

import contextlib
import os
import sys
import tempfile

import pytest
from support.commands import TOOLS, Commands
from support.fake_server_process import fake_server
from support.supervised_server import SUPERVISORD, SupervisedServer

# For the tests that import the commands' own modules.
sys.path.append(str(TOOLS))

ANSWERS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "Say it in Markdown.": "# Title\n\nSome *text*.\n\n```python\nprint(1)\n```\n",
    "What is \x1b?": "It clears\x1b[2J the screen.",
}


@pytest.fixture
def commands(tmp_path):
    """The commands, configured for a server that does not run."""
    return Commands(tmp_path)


@pytest.fixture
def serve(commands, tmp_path):
    """``with serve(mode)``: the commands are configured for a server in that mode, which wants a key."""

    @contextlib.contextmanager
    def serve(mode="ready", answers=ANSWERS):
        with fake_server(tmp_path, mode, answers, key="s3cret") as url:
            commands.config["server"].update(url=url, api_key_file=str(tmp_path / "key"))
            yield url

    return serve


@pytest.fixture
def served(serve):
    """The commands are configured for a server that is ready; its URL."""
    with serve() as url:
        yield url


@pytest.fixture
def supervised(commands):
    """The commands are configured for a service under a real supervisord; it is not started yet."""
    if SUPERVISORD is None:
        pytest.skip("supervisor is not installed here")
    with tempfile.TemporaryDirectory(prefix="sv") as root:
        server = SupervisedServer(os.path.realpath(root))
        commands.config["service"] = server.description
        commands.config["server"].update(url=server.url, api_key_file=str(server.key_file))
        try:
            yield server
        finally:
            server.close()
