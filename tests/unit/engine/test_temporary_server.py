# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A llama-server for the length of a block: what reaches it, how its failures are told, and that nothing stays."""

import os
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.processes import alive, find
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import temporary_server
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import (
    TemporaryServer,
    check_runs,
)
from support.fake_server_process import FAKE
from support.paths import COLLECTIONS

pytestmark = pytest.mark.processes

HELLO = [{"role": "user", "content": "Hello!"}]

#: Tells who it is and what it was given, then is the stand-in.
RECORDING = f"""#!/bin/sh
echo $$ > "$RECORD/pid"
env > "$RECORD/environment"
exec "{sys.executable}" "{FAKE}" "$@"
"""

OWNER = """
import sys
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import TemporaryServer
with TemporaryServer(*sys.argv[1:3], environment={"RECORD": sys.argv[3]}):
    print("ready", flush=True)
    sys.stdin.read()
"""


class Site:
    """A directory with a blank in its name: the program, its model, and what is left of a run."""

    def __init__(self, directory):
        self.record = directory / "a record"
        self.scratch = directory / "scratch"
        self.record.mkdir()
        self.scratch.mkdir()
        self.model = str(self.program("model.gguf", "GGUF"))
        self.binary = str(self.program("llama-server", RECORDING))

    def program(self, name, text, mode=0o755):
        path = self.record / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def server(self, mode="ready", **options):
        environment = {"RECORD": str(self.record), "FAKE_LLAMA_MODE": mode, **options.pop("environment", {})}
        return TemporaryServer(self.binary, self.model, environment=environment, **options)

    @property
    def pid(self):
        return int((self.record / "pid").read_text())

    @property
    def environment(self):
        lines = (self.record / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def is_clean(self):
        scratch = str(self.scratch)
        return not alive(self.pid) and not list(self.scratch.iterdir()) and not find(lambda one: one.mentions(scratch))


@pytest.fixture
def site(tmp_path, monkeypatch):
    site = Site(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(site.scratch))
    return site


def test_lends_a_ready_server_and_leaves_nothing(site):
    with site.server(arguments=["--alias", "tiny one"]) as server:
        assert server.health() == "ready"
        assert server.models()[0]["id"] == "tiny one"
        assert server.chat(HELLO)["choices"]
        assert alive(site.pid)
    assert site.is_clean()


def test_waits_until_the_model_is_loaded(site):
    with site.server("loading-slowly") as server:
        assert server.health() == "ready"


def test_two_at_a_time_do_not_meet(site):
    with site.server(arguments=["--alias", "one"]) as one, site.server(arguments=["--alias", "two"]) as two:
        assert [server.models()[0]["id"] for server in (one, two)] == ["one", "two"]


def test_no_settings_of_ours_reach_it(site, monkeypatch):
    monkeypatch.setenv("LLAMA_ARG_PORT", "1")
    monkeypatch.setenv("LLAMA_API_KEY", "s3cret")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/stray")
    monkeypatch.setenv("KEPT", "as it is")
    with site.server(environment={"GIVEN": "by the caller"}):
        seen = site.environment
        assert os.path.isdir(seen["HOME"])
    assert not [name for name in seen if name.startswith("LLAMA_")]
    assert seen["HOME"] == seen["XDG_CONFIG_HOME"]
    assert os.path.dirname(seen["HOME"]) == str(site.scratch)
    assert (seen["KEPT"], seen["GIVEN"]) == ("as it is", "by the caller")


@pytest.mark.parametrize("mode", ["dies", "dies-loading"])
def test_a_failing_start_is_told_with_the_log(site, mode):
    with pytest.raises(LlamaCppError, match="exit status 1") as caught, site.server(mode):
        pass
    assert site.binary in str(caught.value)
    assert "failed to load model" in str(caught.value)
    assert site.is_clean()


def test_a_known_cause_is_named(site):
    with pytest.raises(LlamaCppError, match="does not know the argument"), site.server(arguments=["--mlock"]):
        pass


def test_a_server_that_never_gets_ready_is_given_up(site):
    with pytest.raises(LlamaCppError, match="not ready after 1 s"), site.server("loading-forever", timeout=1):
        pass
    assert site.is_clean()


def test_a_server_that_ignores_term_is_killed(site, monkeypatch):
    monkeypatch.setattr(temporary_server, "TERM_SECONDS", 0.2)
    with site.server("ignores-term"):
        pass
    assert site.is_clean()


def test_a_crash_during_the_block_is_told_with_the_log(site):
    with pytest.raises(LlamaCppError, match="the back end is in an error state"), site.server("crashes") as server:
        server.chat(HELLO)
    assert site.is_clean()


def test_failures_of_the_block_pass_unchanged(site):
    with pytest.raises(KeyError, match="mine"), site.server():
        raise KeyError("mine")
    assert site.is_clean()


def test_the_server_does_not_outlive_its_owner(site):
    command = [sys.executable, "-c", OWNER, site.binary, site.model, str(site.record)]
    environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS), "TMPDIR": str(site.scratch)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as owner:
        assert owner.stdout.readline() == b"ready\n"
        assert alive(site.pid)
        owner.kill()
    assert wait_until(site.is_clean, 10)


@pytest.mark.parametrize("mode", [0o755, 0o644])
def test_a_file_that_is_no_program(site, mode):
    path = str(site.program("odd", "\x00\x01", mode))
    for attempt in (lambda: check_runs(path), TemporaryServer(path, site.model).__enter__):
        with pytest.raises(LlamaCppError, match="cannot be started") as caught:
            attempt()
        assert path in str(caught.value)
    assert not list(site.scratch.iterdir())


def test_a_program_that_is_not_there(site):
    with pytest.raises(LlamaCppError, match="No such file"):
        check_runs(str(site.record / "missing"))


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("kill -s ILL $$", "SIGILL.*build it on this machine"),
        ("echo no such library; exit 7", "status 7.*no such library"),
    ],
)
def test_a_program_that_ends_at_once(site, script, told):
    path = str(site.program("broken", f"#!/bin/sh\n{script}\n"))
    for attempt in (lambda: check_runs(path), TemporaryServer(path, site.model).__enter__):
        with pytest.raises(LlamaCppError, match=f"(?s){told}"):
            attempt()


def test_a_program_that_runs(site):
    check_runs(str(FAKE))
