# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The example inventory with a gateway, whose role goes through its life on this machine."""

import json
import ssl
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest
import yaml
from support.haproxy import HAPROXY
from support.paths import REPOSITORY
from support.plays import Play, free_port, processes_below, recap
from support.scripted_server import self_signed

pytestmark = pytest.mark.skipif(HAPROXY is None, reason="There is no HAProxy on this machine.")

EXAMPLE = REPOSITORY / "playbooks" / "inventory" / "three_minis_behind_a_gateway.yml"
SECRETS = {f"vault_llm_key_of_{name}": f"the-secret-key-of-{name}" for name in ("hosts", "anna", "nightly_jobs")}


def test_from_a_bare_host_to_a_reload_to_a_bare_host():
    with tempfile.TemporaryDirectory(prefix="gateway-", dir="/tmp") as directory:  # sockets have short paths
        Gateway(Path(directory)).live()
        assert not processes_below(directory)


class Gateway:
    def __init__(self, directory):
        self.directory = directory / "gateway"
        self.inventory = directory / "here.yml"
        certificate, self.authority = self_signed(directory)
        self.port = free_port()
        here = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "llama_cpp_gateway_address": "127.0.0.1",
            "llama_cpp_gateway_port": self.port,
            "llama_cpp_gateway_statistics_port": free_port(),
            "llama_cpp_gateway_certificate": str(certificate),
            "llama_cpp_gateway_directory": str(self.directory),
            "llama_cpp_gateway_manager": "supervisor",
            "llama_cpp_gateway_install_packages": False,
        }
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": {"gateway": here}}}))

    def play(self, *arguments):
        command = ["ansible-playbook", "playbooks/gateway.yml", "-i", EXAMPLE, "-i", self.inventory, "--diff"]
        play = Play([*command, "--limit", "gateway", "-e", json.dumps(SECRETS), *arguments], REPOSITORY)
        assert play.wait() == 0, play.output
        assert not [secret for secret in SECRETS.values() if secret in play.output]
        return recap(play.output)["changed"]

    def models(self):
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}/v1/models")
        request.add_header("Authorization", f"Bearer {SECRETS['vault_llm_key_of_anna']}")
        context = ssl.create_default_context(cafile=self.authority)
        with urllib.request.urlopen(request, context=context) as reply:
            return [model["id"] for model in json.load(reply)["data"]]

    def live(self):
        assert self.play("--check") > 0
        assert not self.directory.exists()
        assert self.play() > 0
        assert self.models() == ["tinyllama"]
        usage = [self.directory / "bin" / "llm-manager", "usage", "--json"]
        (anna,) = json.loads(subprocess.run(usage, capture_output=True, check=True).stdout)["groups"]
        assert (anna["client"], anna["requests"]) == ("anna", 1)
        text = (self.directory / "haproxy.cfg").read_text()
        assert "server mini-3 '192.168.7.13:8080' maxconn 8" in text and "server mini-1 '192.168.7.11:8080'" in text
        # A file, and the process that serves; nothing else changes in a second run.
        assert self.play("-e", "llama_cpp_gateway_queue=7") == 2
        assert self.play("-e", "llama_cpp_gateway_state=absent") == 1
        assert not self.directory.exists()
