# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several hosts and one compile: the seed, and what the others do when it cannot give what it has."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.engine_source import EngineSource, packed
from support.fault_server import FaultServer
from support.fleet import MARK, changes
from support.plays import ENGINE_ALONE, Host

SEED = "mac-2"  # not the first one, so that the others have to wait for it


class EngineFleet:
    """Directories of this machine that stand for hosts of one play, and the web server that their sources are on."""

    def __init__(self, host, origin, size):
        self.origin, self.size = origin, size
        self._host, self._hosts, self._overrides = host, {}, {}

    def add(self, name, **overrides):
        self._overrides[name] = {"feature_flags": ENGINE_ALONE, **overrides}
        self._hosts[name] = Host(self._host.directory / name, "/nowhere")
        return self._hosts[name]

    def forget(self, name):
        del self._overrides[name]

    def play(self, **variables):
        hosts = {
            name: {
                "ansible_connection": "local",
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                "llama_cpp_install_dir": str(self._hosts[name].install),
                "llama_cpp_bin_dir": str(self._hosts[name].bin),
                "llama_cpp_overrides": overrides,
            }
            for name, overrides in self._overrides.items()
        }
        inventory = self._host.directory / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        variables = {"llama_cpp_hosts": "all", "llama_cpp_engine_seed": SEED, **variables}
        words = ["-i", str(inventory), "--tags", "llm_engine", "-e", json.dumps(variables)]
        return self._host.play(*words, environment={MARK: str(self._host.directory)})

    def seed_servers(self):
        directory = self._host.directory
        return processes.find(lambda one: one.has_environment(MARK, directory) and one.mentions("class SeedServer"))


@pytest.fixture
def fleet(host, engine):
    source = EngineSource(host.directory / "llama.cpp", engine)
    source.commit("one")
    file = host.directory / "llama.cpp.tar.gz"
    with FaultServer() as origin:
        host.config["engine"] = {
            "source": "archive",
            "version": "b42",
            "url": origin.url("/llama.cpp.tar.gz"),
            "sha256": packed(file, source.url, "llama.cpp-b42"),
        }
        origin.serve("/llama.cpp.tar.gz", file.read_bytes())
        fleet = EngineFleet(host, origin, file.stat().st_size)
        yield fleet
        assert wait_until(lambda: not fleet.seed_servers(), 20)


def test_who_can_have_it_from_the_seed_does_and_the_others_compile(fleet):
    other = fleet.add("mac-1", engine={"url": "http://127.0.0.1:1/nowhere.tar.gz"})
    seed = fleet.add(SEED)
    different = fleet.add("mac-3", engine={"cmake_options": {"GGML_NATIVE": False}})
    output = fleet.play()
    assert f"mac-3 needs {different.release()}" in output
    assert fleet.origin.sent == 2 * fleet.size
    assert other.release() == seed.release() != different.release()
    engine = other.install / "engine"
    assert [path.name for path in (engine / "releases").iterdir()] == [other.release()]
    assert json.loads((engine / "current" / "stamp.json").read_text())["selftest"]

    # In a later batch, while the seed cannot serve.
    fleet.forget("mac-3")
    late = fleet.add("mac-4")
    output = fleet.play(llama_cpp_serial=2, llama_cpp_seed_address="192.0.2.7")
    assert "cannot listen on 192.0.2.7" in output
    assert changes(output)[:2] == [0, 0]
    assert fleet.origin.sent == 3 * fleet.size
    assert late.release() == seed.release()
