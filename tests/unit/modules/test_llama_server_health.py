# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module ``llama_server_health``, run as Ansible runs it."""

import json

import pytest
from support.fake_server_process import FAKE, fake_server
from support.modules import run_module
from support.supervised_server import free_port

pytestmark = pytest.mark.processes

HELLO = {"Say hello.": "Hello."}
MODULE = "llama_server_health"


@pytest.mark.parametrize("check", [False, True])
def test_healthy_server(tmp_path, check):
    with fake_server(tmp_path, answers=HELLO, key="s3cret") as url:
        arguments = {"url": url, "api_key_file": str(tmp_path / "key"), "require_key": True, "model": "tiny"}
        result = run_module(MODULE, arguments, check=check)
    assert "failed" not in result, result
    assert (result["changed"], result["ready"]) == (False, True)
    assert (result["build"], result["model"], result["answer"]) == ("b0-0c1e570", "tiny", "Hello.")
    assert "s3cret" not in str(result)


def test_key_file_may_be_missing_when_nothing_runs_yet(tmp_path):
    """A play in check mode on a bare host: there is neither a server nor a key."""
    arguments = {"url": f"http://127.0.0.1:{free_port()}", "api_key_file": str(tmp_path / "key"), "require_key": True}
    result = run_module(MODULE, arguments, check=True)
    assert "failed" not in result
    assert (result["changed"], result["ready"]) == (False, False)
    assert arguments["url"] in result["msg"]


def test_nothing_listens(tmp_path):
    log = tmp_path / "server.log"
    log.write_text("error: invalid argument: --mlock\n")
    url = f"http://127.0.0.1:{free_port()}"
    result = run_module(MODULE, {"url": url, "timeout": 0, "log_file": str(log)})
    assert result["failed"]
    for told in (url, '"--mlock"', str(log)):
        assert told in result["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_server_that_is_not_as_it_must_be(tmp_path, check):
    engine_dir = tmp_path / "engine"
    (engine_dir / "releases" / "new").mkdir(parents=True)
    (engine_dir / "releases" / "new" / "stamp.json").write_text(json.dumps({"build_info": "b2-abcdef0"}))
    (engine_dir / "current").symlink_to("releases/new")
    with fake_server(tmp_path, answers=HELLO) as url:
        result = run_module(MODULE, {"url": url, "engine_dir": str(engine_dir)}, check=check)
    assert result["failed"]
    assert "b2-abcdef0" in result["msg"]


def test_device(tmp_path):
    with fake_server(tmp_path, answers=HELLO) as url:
        arguments = {"url": url, "server": str(FAKE), "expected_device": "MTL0"}
        without = run_module(MODULE, arguments, environment={"FAKE_LLAMA_DEVICES": ""})
        found = run_module(MODULE, arguments, environment={"FAKE_LLAMA_DEVICES": "MTL0: Apple M2 (1 MiB, 1 MiB free)"})
    assert without["failed"] and "MTL0" in without["msg"]
    assert found["devices"] == {"MTL0": "Apple M2 (1 MiB, 1 MiB free)"}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"url": "http://h", "require_key": True}, {"url": "http://h", "expected_device": "MTL0"}, {"url": "h"}],
)
def test_arguments_that_make_no_sense(arguments):
    assert run_module(MODULE, arguments)["failed"]
