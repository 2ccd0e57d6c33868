# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A release that another host has compiled is fetched from it; whatever is wrong with that, nothing is installed."""

import hashlib
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import read_json, write_json_atomically
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import Release
from support.fault_server import Fault, FaultServer
from support.modules import run_module

pytestmark = pytest.mark.processes

SERVER = '#!/bin/sh\necho "version: 0.5.0-dev (build 7, commit abc1234)" >&2\n'
ENGINE = {
    "source": "git",
    "version": "b7",
    "url": "https://example.org/llama.cpp.git",
    "targets": ["llama-server", "llama-cli"],
    "options": {"GGML_NATIVE": "OFF"},
}


class Hosts:
    """Two directories of this machine: one whose release is compiled, and one that wants it."""

    def __init__(self, directory):
        self.engine_dir = str(directory / "seed")
        self.release = Release(ENGINE, self.engine_dir, "Linux")
        built = directory / "built"
        built.mkdir()
        for name in ENGINE["targets"]:
            (built / name).write_text(f"{SERVER}# {name}\n")
            (built / name).chmod(0o755)
        self.release.install({name: str(built / name) for name in ENGINE["targets"]})
        store.admit(self.release.engine_dir, self.release.name, {"asked": 1})
        self.wanted = Release(ENGINE, str(directory / "other"), "Linux")
        self._started = []

    def offer(self):
        wanted = {"state": "started", "engine_dir": self.engine_dir, "release": self.release.name}
        self._started.append(run_module("seed", wanted))
        return self._started[-1]["offer"]

    def stop(self):
        for result in self._started:
            if result["process"]:
                run_module("seed", {"state": "stopped", "process": result["process"]})

    def fetch(self, offer, check=False):
        wanted = {"state": "fetched", "engine": ENGINE, "engine_dir": self.wanted.engine_dir, "system": "Linux"}
        return run_module("engine_release", {**wanted, "seed": offer}, check=check)

    def left(self):
        """What the release, or a failed attempt at it, left behind."""
        directory = os.path.dirname(self.wanted.path)
        return os.listdir(directory) if os.path.exists(directory) else []


@pytest.fixture
def hosts(tmp_path):
    hosts = Hosts(tmp_path)
    yield hosts
    hosts.stop()


def content(release, name):
    with open(release.program(name), "rb") as stream:
        return stream.read()


def test_it_is_installed_and_still_to_be_tested(hosts):
    offer = hosts.offer()
    foreseen = hosts.fetch(offer, check=True)
    assert (foreseen["changed"], hosts.left()) == (True, [])
    result = hosts.fetch(offer)
    assert (result["changed"], result["release"]["usable"], result["release"]["selftested"]) == (True, True, False)
    assert "warnings" not in result
    assert hosts.left() == [hosts.release.name]
    for name in ENGINE["targets"]:
        assert content(hosts.wanted, name) == content(hosts.release, name)
        assert os.access(hosts.wanted.program(name), os.X_OK)
    assert hosts.fetch(offer)["changed"] is False


def vanishes(hosts):
    offer = hosts.offer()
    hosts.stop()
    return offer


def lacks_a_program(hosts):
    offer = hosts.offer()
    return {**offer, "files": [file for file in offer["files"] if file["name"] != "llama-cli"]}


def was_rebuilt_meanwhile(hosts):
    offer = hosts.offer()
    os.utime(hosts.release.program("llama-cli"), (1, 1))
    return offer


def does_not_run_here(hosts):
    path = os.path.join(hosts.release.path, "stamp.json")
    stamp = read_json(path)
    del stamp["sha256"]["llama-server"]
    write_json_atomically(path, stamp)
    with open(hosts.release.program(), "w") as stream:
        stream.write("#!/bin/sh\nexit 1\n")
    return hosts.offer()


def test_a_seed_does_not_offer_what_the_disk_has_spoiled(hosts):
    with open(hosts.release.program(), "a") as stream:
        stream.write("#")
    assert hosts.offer() is None


@pytest.mark.parametrize("seed", [vanishes, lacks_a_program, was_rebuilt_meanwhile, does_not_run_here])
def test_a_seed_that_cannot_give_it_costs_a_warning(hosts, seed):
    offer = seed(hosts)
    result = hosts.fetch(offer)
    assert (result["changed"], result["release"]["usable"], hosts.left()) == (False, False, [])
    assert hosts.release.name in str(result["warnings"])
    assert offer["token"] not in str(result)


@pytest.mark.parametrize("fault", [Fault(wrong_bytes=True), Fault(claim=10_000), Fault(status=404)])
def test_what_is_not_what_was_offered_is_not_installed(hosts, fault):
    files = []
    with FaultServer() as bad:
        for name in ENGINE["targets"]:
            files.append({"name": name, "sha256": hashlib.sha256(content(hosts.release, name)).hexdigest()})
            bad.serve("/" + files[-1]["sha256"], content(hosts.release, name), faults=[fault] * 9)
        result = hosts.fetch({"url": bad.url("/"), "token": "a token", "files": files})
    assert (result["changed"], result["release"]["usable"], hosts.left()) == (False, False, [])
    assert len(result["warnings"]) == 1


def test_a_release_that_is_not_there_as_a_whole_is_not_offered(hosts):
    os.unlink(hosts.release.program("llama-cli"))
    assert hosts.offer() is None
    hosts.release = Release({**ENGINE, "version": "b8"}, hosts.engine_dir, "Linux")
    assert hosts.offer() is None
