# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The newcomer's way: clone, make demo, ask, kill, repeat, upgrade, clean. One cold compile serves all tests here; that
of the upgrade takes what has not changed from the compiler cache.
"""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from support import checkout, offline
from support.built_engine import RELEASES
from support.known_answer import ANSWER, QUESTION
from support.load import Load
from support.paths import REPOSITORY
from support.plays import BIN, Host, Play, announced_gap, free_port, processes_below, recap
from support.suite_cost import MeteredCompile

STEP = re.compile(r"\[ *\d+ %\] (\d+)/(\d+) compiling")


# An option that concerns one file.
SECOND = {"engine": {"cmake_options": {"LLAMA_BUILD_NUMBER": 2}}}


class DemoHost(Host):
    """The demo, for plays that make does not start."""

    def __init__(self, clone, port):
        self.clone, self.port = clone, port
        self.directory = clone / ".demo"
        self.install, self.bin = self.directory / "llm-workspace", self.directory / "bin"

    def play(self, playbook, *arguments, **variables):
        variables = json.dumps({"llama_cpp_server_port": self.port, **variables})
        command = [BIN / "ansible-playbook", f"playbooks/{playbook}", "-e", "@playbooks/vars/demo.yml", "-e", variables]
        play = Play([*command, *arguments], self.clone, {"DEMO": str(self.directory)})
        assert play.wait() == 0, play.output
        return play.output

    def releases(self):
        """The release that is ``current`` and the one that was ``previous``, as ``llm-manager releases`` tells them."""
        entries = json.loads(self.run("llm-manager", "releases", "--json").stdout)
        return {mark: entry for entry in entries for mark in ("current", "previous") if entry[mark]}

    def serving_build(self):
        """Which build the running server says it is."""
        return json.loads(self.run("llm-manager", "status", "--json").stdout)["server"]["build"]

    def programs(self):
        """All programs of all releases, each with what would change if it were made anew."""
        found = (self.install / "engine" / "releases").glob("*/bin/*")
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in found}


def make_demo(clone, port, environment=None, model=None):
    words = ["MODEL=" + model] if model else []
    return Play(["make", "demo", "DEMO_ARGS=-e llama_cpp_server_port=%d" % port, *words], clone, environment)


def compiled(line):
    step = STEP.search(line)
    return int(step.group(1)) if step else 0


def llm(clone, *arguments):
    command = [str(clone / ".demo" / "bin" / "llm"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def demo(clone, port, tmp_path_factory):
    """A demo whose first run was interrupted in the middle of the compile: (where it stopped, second run's output)."""
    metered = MeteredCompile(tmp_path_factory.mktemp("metered"), shutil.which("cmake"))
    first = make_demo(clone, port, metered.environment)
    line = first.until(lambda line: compiled(line) >= 20)
    assert line, first.output
    first.interrupt()
    assert wait_until(lambda: not processes_below(clone / ".demo"), 60), "the compile goes on after Ctrl-C"
    second = make_demo(clone, port, metered.environment)
    assert second.wait() == 0, second.output
    metered.note()
    keep(clone / ".demo" / "llm-workspace" / "engine" / "releases")
    return compiled(line), second.output


def keep(releases):
    """Leave what was compiled where all that follow look for it (support/built_engine.py): one compile serves all."""
    for stamp in releases.glob("*/stamp.json"):
        if not (RELEASES / stamp.parent.name).exists():
            shutil.copytree(stamp.parent, RELEASES / stamp.parent.name)


def test_an_interrupted_compile_goes_on_where_it_stopped(demo):
    stopped_at, output = demo
    totals = [int(STEP.search(line).group(2)) for line in output.splitlines() if STEP.search(line)]
    assert max(totals) <= 220 - stopped_at + 5, "it began anew"


def test_it_ends_with_answers_of_both_models_and_what_to_type_next(demo, clone, port):
    _stopped_at, output = demo
    assert recap(output)["failed"] == 0
    end = output.rpartition("PLAY RECAP")[2]
    assert "def is_even(" in end and "% 2 == 0" in end
    assert ANSWER in end
    assert "http://127.0.0.1:%d" % port in end
    assert str(clone / ".demo" / "bin" / "llm") in end
    assert "make demo-clean" in end


def test_the_installed_command_answers(demo, clone):
    result = llm(clone, "-m", "selftest", QUESTION)
    assert (result.returncode, result.stdout) == (0, ANSWER + "\n")


def test_scenario_default_finds_all_as_it_should_be(demo, clone):
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", REPOSITORY / "molecule" / "default" / "tests"]
    environment = {**os.environ, "SCENARIO_HOST": str(clone / ".demo")}
    command = [BIN / "python", *words]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_second_run_changes_nothing_and_restarts_nothing(demo, clone, port):
    before = processes_below(clone / ".demo")
    again = make_demo(clone, port)
    assert again.wait() == 0, again.output
    assert recap(again.output)["changed"] == 0, again.output
    assert processes_below(clone / ".demo") == before


def test_a_killed_server_comes_back(demo, clone):
    (router,) = processes.find(
        lambda process: process.mentions(str(clone / ".demo")) and process.has_arguments("--models-preset")
    )
    os.kill(router.pid, signal.SIGKILL)
    codes = set()

    def healthy():
        codes.add(llm(clone, "health").returncode)
        return llm(clone, "health").returncode == 0

    assert wait_until(healthy, 10)
    assert codes <= {0, 3, 4}
    assert llm(clone, "-m", "selftest", QUESTION).stdout == ANSWER + "\n"


def test_health_is_not_green_while_the_server_is_gone(demo, clone):
    manager = str(clone / ".demo" / "bin" / "llm-manager")
    subprocess.run([manager, "stop"], check=True, timeout=60)
    assert llm(clone, "health").returncode == 3
    subprocess.run([manager, "start"], check=True, timeout=60)
    assert llm(clone, "health").returncode == 0


def test_another_build_is_compiled_while_the_first_serves_takes_its_place_and_gives_it_back(demo, clone, port):
    host = DemoHost(clone, port)
    first = host.releases()["current"]
    assert host.serving_build() == first["build"]
    with Load(host) as load:
        output = host.play("macos_setup.yml", llama_cpp_overrides=SECOND)
    assert load.answered
    assert load.outage <= announced_gap(output)
    second = host.releases()["current"]
    assert host.releases()["previous"]["name"] == first["name"]
    assert host.serving_build() == second["build"] != first["build"]
    assert host.answers()
    stamp = json.loads((host.install / "engine" / "current" / "stamp.json").read_text())
    assert stamp["identity"]["options"]["LLAMA_BUILD_NUMBER"] == "2"

    programs, named = host.programs(), {"llama_cpp_release": first["name"][:-2], "llama_cpp_overrides": SECOND}
    assert recap(host.play("rollback.yml", "--check", **named))["changed"] == 1
    assert host.releases()["current"] == second
    with Load(host) as load:
        output = host.play("rollback.yml", **named)
    assert load.answered
    assert load.outage <= announced_gap(output)
    back = host.releases()
    assert (back["current"]["name"], back["previous"]["name"]) == (first["name"], second["name"])
    assert host.serving_build() == first["build"]
    assert host.answers()
    assert host.programs() == programs


def test_with_the_model_of_the_collection_alone_no_index_is_needed(demo, clone, port):
    small = make_demo(clone, port, offline.ENVIRONMENT, model="selftest")
    assert small.wait() == 0, small.output
    end = small.output.rpartition("PLAY RECAP")[2]
    assert ANSWER in end and "is_even" not in end
    assert llm(clone, QUESTION).stdout == ANSWER + "\n"


def test_nothing_outside_was_touched(demo, clone):
    made = {path.name for path in clone.iterdir()} - {".demo", ".venv"}
    assert made <= {name.split("/")[0] for name in checkout.names()}


def test_clean_leaves_no_process_and_no_file(demo, clone):
    subprocess.run(["make", "demo-clean"], cwd=clone, check=True, timeout=120)
    assert processes_below(clone / ".demo") == []
    assert not (clone / ".demo").exists()
