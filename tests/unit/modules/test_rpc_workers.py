# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module that asks RPC workers: a missing one ends the play within its time, and is a warning in check mode."""

import pytest
from support.fake_rpc_worker import memory, rpc_worker
from support.macos import outputs
from support.modules import run_module
from support.recorded_programs import recorded_sysctl
from support.supervised_server import free_port

pytestmark = pytest.mark.processes


def test_what_is_there_and_what_is_missing(tmp_path):
    missing = f"127.0.0.1:{free_port()}"
    sysctl = recorded_sysctl(tmp_path / "sysctl", outputs.M1_MAX_64)
    with rpc_worker(memory(1000, 2000)) as there:
        asked = {"workers": {there: None}, "device": "MTL0", "sysctl": sysctl}
        found = run_module("rpc_workers", asked)
        assert found["offers"] == {there: [1000, 2000]} and found["own_mb"] == 48 * 1024
        asked = {"workers": {there: None, missing: None}, "timeout": 0.1}
        refused = run_module("rpc_workers", asked)
        warned = run_module("rpc_workers", asked, check=True)
    assert refused["failed"] and missing in refused["msg"] and there not in refused["msg"]
    assert "playbooks/rpc.yml" in refused["msg"]
    assert missing in warned["warnings"][0] and list(warned["missing"]) == [missing] and warned["own_mb"] is None
