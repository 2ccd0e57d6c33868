# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Hosts, and a real gateway with the defaults of its role in front of them."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import sys
import urllib.parse
from pathlib import Path

import yaml
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import command
from support.built_engine import find_or_build_server
from support.gateway import KEYS, configured, gateway_to
from support.paths import REPOSITORY
from support.supervised_server import free_port

from benchmarks._load import Target

DEFAULTS = yaml.safe_load((REPOSITORY / "roles" / "llama_cpp_gateway" / "defaults" / "main.yml").read_text())
SIZES = {name: DEFAULTS[f"llama_cpp_gateway_{name}"] for name in ("max_request_bytes", "queue", "max_connections")}
SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"


@contextlib.contextmanager
def timed_hosts(count, slots):
    """Lends the :class:`Target` of each of so many hosts (_timed_host.py)."""
    targets = [Target("127.0.0.1", free_port(), "none") for _ in range(count)]
    addresses = [f"{target.address}:{target.port}" for target in targets]
    script = Path(__file__).with_name("_timed_host.py")
    process = subprocess.Popen([sys.executable, "-I", script, str(slots), *addresses], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()  # it says that it is ready
        yield targets
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def real_hosts(count, slots):
    """Lends the :class:`Target` of each of so many llama-servers, which compute in one thread each."""
    options = ["--threads", "1", "--threads-http", "8", "--parallel", str(slots), "--no-ui"]
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(TemporaryServer(str(find_or_build_server()), str(SELFTEST), options))
            for _ in range(count)
        ]
        yield [Target("127.0.0.1", urllib.parse.urlsplit(server.base_url).port, "none") for server in servers]


class Running:
    """A gateway that runs: ``target`` is where requests to it go."""

    def __init__(self, gateway, tls):
        self.target = Target("127.0.0.1", gateway.port, KEYS["anna"], tls)
        told = command(gateway.paths["admin_socket"], "show info").splitlines()
        self._pid = int(next(line for line in told if line.startswith("Pid:")).split()[1])

    def cpu_seconds(self):
        """What its process has used so far."""
        words = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """The bytes of memory that it has, and the most that it has had."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return [1024 * int(found[name].split()[0]) for name in ("VmRSS", "VmHWM")]


@contextlib.contextmanager
def gateway_before(targets, slots, certificate=None, **variables):
    """Lends the gateway, as :class:`Running`, in front of the hosts at ``targets``.

    :param certificate: the paths of (its key and certificate, that of the authority); None: it serves plain HTTP.
    """
    described = [
        configured(
            f"host{number}",
            llm_settings={"server_host": target.address, "server_port": target.port},
            server={"api_key": "none", "parallel": slots},
        )
        for number, target in enumerate(targets, 1)
    ]
    variables = {**SIZES, "certificate": str(certificate[0]) if certificate else "", **variables}
    with gateway_to(*described, **variables) as gateway:
        yield Running(gateway, certificate and ssl.create_default_context(cafile=certificate[1]))
