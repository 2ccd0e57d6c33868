# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module supervisor_service, run as Ansible runs it, against a real supervisord."""

import os
import tempfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support.modules import run_module
from support.service_plan import change, render, service_plan, write_launcher
from support.supervised_server import SUPERVISORD

pytestmark = [pytest.mark.processes, pytest.mark.skipif(SUPERVISORD is None, reason="supervisor is not installed here")]


@pytest.fixture
def host():
    """A function that runs the module for a program of this test's own."""
    with tempfile.TemporaryDirectory(prefix="sv") as directory:
        root = os.path.realpath(directory)
        plan = service_plan(root)
        write_launcher(plan, "exec sleep 600")
        config = os.path.join(root, "supervisord.conf")

        def run(state="started", check=False, diff=False, content=True, **service):
            change(plan, **service)
            arguments = {"name": "llama-server", "config": config, "supervisord": SUPERVISORD, "state": state}
            arguments["log_file"] = plan["server"]["log_file"]
            arguments.update({"settle": 0.2, "progress_file": os.path.join(root, "progress.json")})
            if content:
                arguments["content"] = render("supervisord.conf.j2", plan)
            return run_module("supervisor_service", arguments, check=check, diff=diff)

        def mine():
            url = "unix://" + os.path.join(root, "run", "supervisor.sock")
            return processes.find(
                lambda p: p.has_arguments("-c", config) or p.has_environment("SUPERVISOR_SERVER_URL", url)
            )

        run.plan = plan
        yield run
        processes.end([process.pid for process in mine()], patience=0)
        assert wait_until(lambda: not mine(), 10)


CASES = {
    "start": ("started", {}),
    "change": ("started", {"fingerprint": "e" * 64}),
    "stop": ("stopped", {}),
    "start again": ("started", {}),
    "remove": ("absent", {}),
}


def test_each_change_is_announced_made_and_then_over(host):
    """check, real, check, real: for every change in the life of a service."""
    for case, (state, service) in CASES.items():
        answers = [host(state, check=check, **service)["changed"] for check in (True, False, True, False)]
        assert answers == [True, True, False, False], case


def test_the_result_tells_state_and_pid(host):
    result = host()
    assert result["state"] == {"before": "absent", "after": "running"} and processes.alive(result["pid"])
    assert "diff" not in result
    assert host("stopped")["pid"] is None


def test_the_diff_shows_file_and_state(host):
    host()
    file, state = host(diff=True, check=True, stop_seconds=17)["diff"]
    assert "stopwaitsecs=5" in file["before"] and "stopwaitsecs=17" in file["after"]
    assert (state["before"], state["after"]) == ("running\n", "running (restarted)\n")


def test_a_failure_is_told_in_words(host):
    result = host(launcher="/no/such/launcher")
    assert result["failed"] and "/no/such/launcher" in result["msg"] and "Traceback" not in result["msg"]


def test_a_service_without_a_file_cannot_be_started(host):
    result = host(content=False)
    assert result["failed"] and "supervisord.conf" in result["msg"]


def test_a_failure_tells_the_cause_that_the_servers_log_names(host, tmp_path):
    launcher = tmp_path / "launcher"
    log = host.plan["server"]["log_file"]
    launcher.write_text(f"#!/bin/sh\necho 'error: invalid argument: --bogus' >>'{log}'; exit 1\n")
    launcher.chmod(0o755)
    message = host(launcher=str(launcher))["msg"]
    assert '"--bogus"' in message and "server.arguments" in message
