# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A stand-in for llama-server as a service under a real supervisord, as the play sets one up."""

import os
import shlex
import shutil
import socket
import sys
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.service.description import open_service

from support.fake_server_process import FAKE
from support.service_plan import render, service_plan, write_launcher

#: Beside this Python or in the PATH; None where it is not installed.
SUPERVISORD = shutil.which("supervisord", path=os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]))


def free_port():
    """A port of loopback that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class SupervisedServer:
    """Everything lies under ``root``, whose path must be short: it holds a socket. ``close()`` leaves no process."""

    def __init__(self, root, key="s3cret"):
        self.root = Path(root)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._plan = service_plan(root)
        self.log = self.root / "logs" / "service.log"
        self.key_file = self.root / "key"
        self.key_file.write_text(key + "\n")
        self.key_file.chmod(0o600)
        self.definition = self.root / "supervisord.conf"
        self.definition.write_text(render("supervisord.conf.j2", self._plan))
        self.description = {
            "manager": "supervisor",
            "name": "com.llama.server",
            "definition": str(self.definition),
            "log": str(self.log),
            "program": "llama-server",
            "supervisord": SUPERVISORD,
        }
        self.set_mode("ready")

    def set_mode(self, mode, *arguments):
        """How the stand-in behaves from its next start on (FAKE_LLAMA_MODE), and what it is given besides."""
        model = self.root / "model.gguf"
        model.write_bytes(b"GGUF")
        own = ["--model", model, "--alias", "tiny", "--port", self.port, "--api-key-file", self.key_file]
        words = [sys.executable, FAKE, *own, *arguments]
        line = " ".join(shlex.quote(str(word)) for word in words)
        write_launcher(self._plan, f"FAKE_LLAMA_MODE={mode} exec {line}")

    @property
    def service(self):
        return open_service(self.description)

    def close(self):
        config = str(self.definition)
        url = "unix://" + self._plan["service"]["socket"]

        def ours(process):
            return process.has_arguments("-c", config) or process.has_environment("SUPERVISOR_SERVER_URL", url)

        processes.end([process.pid for process in processes.find(ours)], patience=0)
        assert wait_until(lambda: not processes.find(ours), 10)
