# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several directories that stand for hosts of one play."""

import json

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes

from support.paths import REPOSITORY
from support.plays import BIN, Play

MARK = "MACOS_SETUP_LLM_FLEET"  # in the environment of all that its plays start


def changes(output):
    """What a play changed on each of its hosts."""
    return [int(line.partition("changed=")[2].split()[0]) for line in output.splitlines() if " changed=" in line]


class Fleet:
    """Hosts mac-1 to mac-3, directories of this machine that get one model and nothing else."""

    def __init__(self, directory, url):
        self.directory = directory
        self.names = ["mac-%d" % number for number in range(1, 4)]
        self.config = {
            "models": {"tiny": {"url": url}},
            "feature_flags": {"install_llama_cpp": False, "setup_service": False, "install_client_tools": False},
        }
        self.config_file = directory / "llm_config.json"
        self.lock_file = directory / "llm_config.lock.json"

    def models(self, name):
        return self.directory / name / "models"

    def play(self, variables=None, *arguments, expect=0):
        self.config_file.write_text(json.dumps(self.config))
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "llama_cpp_config_file": str(self.config_file),
            "llama_cpp_install_dir": str(self.directory) + "/{{ inventory_hostname }}",
        }
        inventory = {"all": {"hosts": {name: {} for name in self.names}, "vars": common}}
        (self.directory / "inventory.json").write_text(json.dumps(inventory))
        command = [BIN / "ansible-playbook", REPOSITORY / "playbooks" / "macos_setup.yml"]
        command += ["-i", self.directory / "inventory.json", "-e", "llama_cpp_hosts=all", "--tags", "llm_models"]
        command += ["-e", json.dumps(variables or {}), *arguments]
        play = Play(command, REPOSITORY, {MARK: str(self.directory)})
        code = play.wait()
        assert code == expect, play.output
        return play.output

    def seed_servers(self):
        return processes.find(lambda process: process.has_environment(MARK, self.directory))

    def have(self, content):
        return [name for name in self.names if (self.models(name) / "m.gguf").read_bytes() == content]
