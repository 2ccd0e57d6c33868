# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several hosts and one compile: the seed, and what the others do when it cannot give what it has."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.engine_source import packed
from support.fault_server import FaultServer
from support.fleet import MARK, changes
from support.plays import Host

SEED = "mac-2"  # not the first one, so that the others have to wait for it
NOT_SERVING = {"setup_service": False, "install_client_tools": False, "download_models": False}


class EngineFleet:
    """Directories of this machine that stand for hosts of one play, and the web server that their sources are on."""

    def __init__(self, host, origin, size):
        self.origin, self.size = origin, size
        self._host, self._overrides = host, {}

    def add(self, name, **overrides):
        self._overrides[name] = overrides
        return Host(self._host.directory / name, "/nowhere")

    def play(self, *arguments, seed=SEED, expect=0, **variables):
        hosts = {
            name: {
                "ansible_connection": "local",
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                "llama_cpp_install_dir": str(self._host.directory / name / "workspace"),
                "llama_cpp_bin_dir": str(self._host.directory / name / "bin"),
                "llama_cpp_overrides": overrides,
            }
            for name, overrides in self._overrides.items()
        }
        inventory = self._host.directory / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        variables = {"llama_cpp_hosts": "all", "llama_cpp_engine_seed": seed, **variables}
        words = ["-i", str(inventory), "-e", json.dumps(variables), *arguments]
        return self._host.play(*words, environment={MARK: str(self._host.directory)}, expect=expect)

    def seed_servers(self):
        directory = self._host.directory
        return processes.find(lambda one: one.has_environment(MARK, directory) and one.mentions("class SeedServer"))


@pytest.fixture
def fleet(host, source):
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


def test_what_the_seed_compiled_serves_on_the_others(fleet):
    other = fleet.add("mac-1", engine={"url": "http://127.0.0.1:1/nowhere.tar.gz"})
    seed = fleet.add(SEED, feature_flags=NOT_SERVING)
    fleet.play()
    assert fleet.origin.sent == fleet.size
    assert other.release() == seed.release()
    assert other.answers()
    engine = other.install / "engine"
    assert [path.name for path in (engine / "releases").iterdir()] == [other.release()]
    assert json.loads((engine / "current" / "stamp.json").read_text())["selftest"]
    assert changes(fleet.play()) == [0, 0]


def test_who_cannot_have_it_from_the_seed_compiles(fleet):
    other = fleet.add("mac-1", feature_flags=NOT_SERVING)
    seed = fleet.add(SEED, feature_flags=NOT_SERVING)
    different = fleet.add("mac-3", feature_flags=NOT_SERVING, engine={"cmake_options": {"GGML_NATIVE": False}})
    variables = {"llama_cpp_seed_address": "192.0.2.7"}
    foreseen = fleet.play("--tags", "llm_engine", "--check", **variables)
    assert 0 not in changes(foreseen)
    assert fleet.origin.sent == 0
    output = fleet.play("--tags", "llm_engine", **variables)
    assert "cannot listen on 192.0.2.7" in output
    assert f"mac-3 needs {different.release()}" in output
    assert fleet.origin.sent == 3 * fleet.size
    assert other.release() == seed.release() != different.release()

    # One of a later batch, and what the seed has is not all that is needed.
    stamp = seed.install / "engine" / "current" / "stamp.json"
    facts = json.loads(stamp.read_text())
    facts["programs"].remove("llama-cli")
    stamp.write_text(json.dumps(facts))
    late = fleet.add("mac-4", feature_flags=NOT_SERVING)
    output = fleet.play("--tags", "llm_engine", llama_cpp_serial=1)
    assert "does not offer llama-cli" in " ".join(output.split())
    assert fleet.origin.sent == 4 * fleet.size
    assert late.release() == seed.release()


def test_a_seed_that_is_no_host_of_the_play_is_refused(fleet):
    other = fleet.add("mac-1", feature_flags=NOT_SERVING)
    output = fleet.play("--tags", "llm_engine", seed="mac-9", expect=2)
    assert 'llama_cpp_engine_seed is "mac-9"' in output
    assert not other.install.exists()
