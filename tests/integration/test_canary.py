# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several hosts: the first one is the canary, and the others are left alone when it fails."""

import json

import pytest
from support.plays import recap

HOSTS = ("mac-1", "mac-2", "mac-3")


@pytest.fixture
def fleet(host):
    """Three hosts in three directories of one machine, the first of which has no engine to adopt."""
    hosts = {}
    for name in HOSTS:
        root = host.directory / name
        hosts[name] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "llama_cpp_install_dir": str(root / "workspace"),
            "llama_cpp_bin_dir": str(root / "bin"),
            "llama_cpp_overrides": {"feature_flags": {"setup_service": False}},
        }
    hosts["mac-1"]["llama_cpp_overrides"]["engine"] = {"path": str(host.directory / "nothing")}
    inventory = host.directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    return ["-i", str(inventory), "-e", "llama_cpp_hosts=all", "--tags", "llm_engine"]


def touched(host):
    return {name for name in HOSTS if (host.directory / name / "workspace" / "engine" / "current").exists()}


def test_a_canary_that_fails_stops_the_rest(host, fleet):
    output = host.play(*fleet, "-e", json.dumps({"llama_cpp_serial": [1, "100%"]}), expect=2)
    assert "engine.path" in output
    assert touched(host) == set()
    assert "mac-2" not in output


def test_without_batches_each_host_stands_for_itself(host, fleet):
    output = host.play(*fleet, expect=2)
    assert touched(host) == {"mac-2", "mac-3"}
    assert recap(output)["failed"] == 0  # the last host's line
