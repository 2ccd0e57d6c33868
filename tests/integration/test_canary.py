# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Several hosts: the first one is the canary, and the others are left alone when it fails."""

import json

import pytest

HOSTS = ("mac-1", "mac-2", "mac-3")


@pytest.fixture
def fleet(host):
    """What a play of three hosts is told, of which the first is configured wrongly; it goes no further than that."""
    hosts = {
        name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "llama_cpp_overrides": {},
        }
        for name in HOSTS
    }
    hosts["mac-1"]["llama_cpp_overrides"] = {"server": {"parallel": "many"}}
    inventory = host.directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    return ["-i", str(inventory), "-e", "llama_cpp_hosts=all", "--tags", "llm_config"]


def failures(output):
    """How often each host that was reached has failed."""
    lines = [line for line in output.splitlines() if "failed=" in line]
    return {line.split()[0]: int(line.partition("failed=")[2].split()[0]) for line in lines}


def test_a_canary_that_fails_stops_the_rest(host, fleet):
    output = host.play(*fleet, "-e", json.dumps({"llama_cpp_serial": [1, "100%"]}), expect=2)
    assert "server.parallel" in output
    assert failures(output) == {"mac-1": 1}


def test_without_batches_each_host_stands_for_itself(host, fleet):
    output = host.play(*fleet, expect=2)
    assert failures(output) == {"mac-1": 1, "mac-2": 0, "mac-3": 0}
