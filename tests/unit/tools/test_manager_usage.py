# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager usage``, as its user sees it."""

import json
import time

import pytest

ENTRY = (
    '{"time":%.3f,"status":200,"queue_ms":0,"connect_ms":0,"first_byte_ms":12,"total_ms":90,"bytes":700,'
    '"prompt_tokens":%s,"completion_tokens":5,"client":"%s","model":"tiny","host":"mini1","retries":"0","method":"POST",'
    '"path":"\\/v1\\/chat\\/completions","ended":"----"}\n'
)
NOW = time.time()


@pytest.fixture
def log(commands, tmp_path):
    """The log of the gateway on this machine, which was rotated twice."""
    path = tmp_path / "access.log"
    path.write_text(ENTRY % (NOW, 7, "anna") + "[NOTICE] about itself\n")
    (tmp_path / "access.log.1").write_text(ENTRY % (NOW - 3600, 30, "jobs") + '{"time":1,\n')
    (tmp_path / "access.log.2").write_text(ENTRY % (NOW - 10 * 86400, 400, "jobs"))
    commands.config["gateway"] = {"unit": None, "log": str(path)}
    return path


def sums(commands, *words, stdin=""):
    done = commands.run("llm-manager", "usage", "--json", *words, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return {group["client"]: group["prompt_tokens"] for group in json.loads(done.stdout)["groups"]}


def test_the_log_of_this_machine_with_its_older_files(commands, log):
    assert sums(commands) == {"jobs": 430, "anna": 7}
    assert sums(commands, "--since", "7d") == {"jobs": 30, "anna": 7}
    assert sums(commands, "--until", time.strftime("%Y-%m-%d", time.localtime(NOW - 9 * 86400))) == {"jobs": 400}


def test_any_other_log(commands, log):
    assert sums(commands, f"{log}.2", "-", stdin=ENTRY % (NOW, 1, "bert")) == {"jobs": 400, "bert": 1}


def test_a_table_for_people(commands, log):
    done = commands.run("llm-manager", "usage")
    head, jobs, anna, everyone = done.stdout.splitlines()
    assert head.split()[:3] == ["client", "requests", "errors"]
    assert [line.split()[:2] for line in (jobs, anna, everyone)] == [["jobs", "2"], ["anna", "1"], ["all", "3"]]
    assert done.stderr == "Damaged lines that were left out: 1.\n"


@pytest.mark.parametrize(
    ("script", "status", "words"), [("echo '%s'", 0, ""), ("echo no right >&2; exit 1", 1, "no right")]
)
def test_the_journal(commands, tmp_path, script, status, words):
    journalctl = tmp_path / "journalctl"
    line = (ENTRY % (NOW, 7, "anna")).strip()
    journalctl.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\n{script.replace("%s", line)}\n')
    journalctl.chmod(0o755)
    commands.config["gateway"] = {"unit": "gate.service", "journalctl": str(journalctl)}
    done = commands.run("llm-manager", "usage", "--since", "2026-11-01T00:00:00+00:00", "--json")
    assert done.returncode == status and words in done.stderr
    assert (tmp_path / "asked").read_text().split()[2:] == ["--unit=gate.service", "--since=@1793491200"]
    if not status:
        assert json.loads(done.stdout)["total"]["prompt_tokens"] == 7


@pytest.mark.parametrize(
    ("words", "named"),
    [([], "journalctl -u llama-cpp-gateway"), (["/no/such/file"], "/no/such/file"), (["--since", "soon"], "24h")],
)
def test_what_cannot_be_done_is_refused(commands, words, named):
    done = commands.run("llm-manager", "usage", *words)
    assert done.returncode in (1, 2) and named in done.stderr and done.stdout == ""
