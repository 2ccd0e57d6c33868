# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The hosts of the Molecule scenario ``fleet``, and clients of the gateway before them that ask all the time."""

import contextlib
import json
import os
import re
import threading
import time
from pathlib import Path

import requests
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import HAProxy

from support.known_answer import ANSWER, QUESTION
from support.paths import REPOSITORY
from support.plays import BIN, Play

KEY = "the-key-of-anna-in-the-scenario"
SECRETS = (KEY, "the-key-of-all-hosts-of-the-scenario")
URL = "http://127.0.0.1:18772/v1/chat/completions"
ASKED = {"model": "selftest", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
INVENTORIES = ("shared/inventory/all.yml", "fleet/inventory/hosts.yml")
WAIT_SECONDS = 30
SOCKET = re.compile(r"stats socket '?(.+?)'? mode")


class ProvisionedFleet:
    """Three hosts with a gateway before them, installed below ``directory``."""

    names = ("mini-1", "mini-2", "mini-3")

    def __init__(self, directory):
        self.directory = Path(directory)
        configuration = (self.directory / "gateway" / "gateway" / "haproxy.cfg").read_text()
        admin = SOCKET.search(configuration)[1]
        self.gateway = HAProxy(admin, admin.replace("admin.sock", "master.sock"))

    def begin(self, playbook, variables, *arguments):
        """Start a playbook with ``variables``; returns the :class:`Play`."""
        command = [BIN / "ansible-playbook", REPOSITORY / "playbooks" / playbook, "--diff"]
        for inventory in INVENTORIES:
            command += ["-i", REPOSITORY / "molecule" / inventory]
        return Play([*command, "-e", json.dumps(variables), *arguments], REPOSITORY)

    def play(self, playbook, variables, *arguments, expect=0):
        """Run a playbook to its end; returns what it said."""
        return self.end(self.begin(playbook, variables, *arguments), expect)

    def end(self, play, expect=0):
        """Wait for the end of a :class:`Play`; returns what it said."""
        assert play.wait() == expect, play.output
        assert not [key for key in SECRETS if key in play.output]
        return play.output

    def states(self):
        """Name of a host -> its state at the gateway."""
        return {name: states["model_selftest"] for name, states in self.gateway.hosts().items()}

    def releases(self):
        """Name of a host -> the release that it runs."""
        links = {name: self.directory / name / "llm & co's workspace" / "engine" / "current" for name in self.names}
        return {name: os.readlink(link).rpartition("/")[2] for name, link in links.items()}

    def server(self, name):
        """The pid of the llama-server of a host."""
        below = str(self.directory / name) + os.sep
        (found,) = processes.find(lambda process: process.mentions(below) and process.has_arguments("--alias"))
        return found.pid

    def conversation_at(self, name):
        """The name of a conversation that goes to that host."""

        def found():
            begun = time.time()
            conversation = f"at {begun}"
            ask(conversation)
            assert wait_until(lambda: self.answered(begun), WAIT_SECONDS, 0.02)
            return conversation if self.answered(begun) == {name} else None

        conversation = wait_until(found, WAIT_SECONDS, 0)
        assert conversation, f"{name} is asked nothing"
        return conversation

    def answered(self, since):
        """The hosts that have answered a request that came after ``since``."""
        log = (self.directory / "gateway" / "gateway" / "logs" / "access.log").read_text().splitlines(keepends=True)
        lines = [json.loads(line) for line in log if line.startswith("{") and line.endswith("\n")]
        return {line["host"] for line in lines if line["status"] == 200 and line["time"] > since}


def ask(conversation, **more):
    headers = {"Authorization": f"Bearer {KEY}", "X-LLM-Conversation": conversation}
    return requests.post(URL, json={**ASKED, **more}, headers=headers, timeout=60, stream=bool(more.get("stream")))


@contextlib.contextmanager
def endless(conversation):
    """A generation that has begun and does not end; lends the lines of its answer that come next."""
    with ask(conversation, stream=True, max_tokens=-1, ignore_eos=True) as reply:
        lines = reply.iter_lines()
        assert next(lines).startswith(b"data: ")
        yield lines


class Clients:
    """Context manager: each asks the known question in a new conversation as soon as it has the answer."""

    PAUSE_SECONDS = 0.4

    def __init__(self, count=2):
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._keep_asking, args=(index,)) for index in range(count)]
        self.answered, self.failed = 0, []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _keep_asking(self, index):
        while not self._over.wait(self.PAUSE_SECONDS):
            begun = time.time()
            try:
                reply = ask(f"{index} at {begun}")
                said = reply.json()["choices"][0]["message"]["content"] if reply.ok else reply.text
            except requests.RequestException as error:
                said = str(error)
            if said == ANSWER:
                self.answered += 1
            else:
                self.failed.append((begun, said))
