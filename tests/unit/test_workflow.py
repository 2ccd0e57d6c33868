# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The macOS workflow: well formed, and every command in it that can run here is run here."""

import os
import re
import subprocess
import tempfile

import pytest
import yaml
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.macos import hardware, power
from support.launchd_host import UID, LaunchdHost
from support.paths import REPOSITORY
from support.recorded_programs import recorded_program

WORKFLOW = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "macos.yml").read_text(encoding="utf-8"))
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
COMMANDS = [step["run"].split() for step in STEPS if "run" in step]
SCRIPTS = sorted({command[0] for command in COMMANDS})
ANSWER = "The capital of France is Paris."


@pytest.fixture
def bin_dir(tmp_path):
    """A directory for stand-ins, with a sudo that changes nobody's rights."""
    directory = tmp_path / "bin with blank"
    directory.mkdir()
    sudo = directory / "sudo"
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    return directory


def run(script, *arguments, first=(), path=None, **environment):
    """Run a script of the workflow with ``first`` (directories) in front of the search path."""
    path = path or os.environ["PATH"]
    return subprocess.run(
        [str(REPOSITORY / ".ci" / "macos" / script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": os.pathsep.join([*map(str, first), path]), **environment},
    )


def test_when_it_runs():
    triggers = WORKFLOW[True]  # YAML 1.1 takes the word "on" for that
    assert set(triggers) == {"schedule", "release", "workflow_dispatch"}
    assert [len(entry["cron"].split()) for entry in triggers["schedule"]] == [5]


def test_it_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_actions_are_pinned_by_commit_with_their_version_beside():
    text = (REPOSITORY / ".github" / "workflows" / "macos.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: *(.*)", text)
    assert len(uses) == sum("uses" in step for step in STEPS)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in uses)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_there_and_parses(script):
    path = REPOSITORY / script
    assert path.parent == REPOSITORY / ".ci" / "macos" and os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_every_step_is_one_script():
    assert all(len(step["run"].splitlines()) == 1 for step in STEPS if "run" in step)
    there = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / ".ci" / "macos").iterdir()}
    assert there - {".ci/macos/llm_config.json"} == set(SCRIPTS)


class TestBare:
    PREFIXES = ("/opt/homebrew", "/usr/local/Homebrew", "/usr/local/Cellar")

    def test_it_refuses_any_other_machine(self, bin_dir):
        brew = recorded_program(bin_dir / "brew", {})
        done = run("bare", first=[bin_dir], RUNNER_ENVIRONMENT="self-hosted")
        assert done.returncode == 2 and "Nothing was changed" in done.stderr and os.path.exists(brew)

    @pytest.mark.skipif(any(map(os.path.exists, PREFIXES)), reason="would take Homebrew from this machine")
    def test_it_hides_every_copy_of_a_program(self, bin_dir, tmp_path):
        other = tmp_path / "other"
        other.mkdir()
        for directory in (bin_dir, other):
            for program in ("brew", "cmake", "ninja"):
                recorded_program(directory / program, {})
        recorded_program(bin_dir / "xcode-select", {"-p": "/Library/Developer/CommandLineTools\n"})
        os.symlink("/bin/mv", str(other / "mv"))
        path = os.pathsep.join([str(bin_dir), str(other)])
        done = run("bare", path=path, RUNNER_ENVIRONMENT="github-hosted")
        assert done.returncode == 0, done.stderr
        for directory in (bin_dir, other):
            assert not {"brew", "cmake", "ninja"} & {entry.name for entry in directory.iterdir()}
            assert (directory / "cmake.away").exists()


class TestInstall:
    RECAP = (
        "PLAY RECAP *****\n"
        "localhost                  : ok=41   changed={}    unreachable=0    failed={}    skipped=9    rescued=0 \n"
    )

    def install(self, bin_dir, *arguments, changed=0, failed=0):
        recap = self.RECAP.format(changed, failed)
        config = f"-e llama_cpp_config_file={REPOSITORY}/.ci/macos/llm_config.json"
        recorded_program(bin_dir / "make", {f"install PYTHON=python3 ARGS={config}": (recap, 2 if failed else 0)})
        return run("install", *arguments, first=[bin_dir], PYTHON="python3").returncode

    def test_a_first_run_changes_things(self, bin_dir):
        assert self.install(bin_dir, changed=20) == 0

    def test_a_second_run_must_not(self, bin_dir):
        assert self.install(bin_dir, "--unchanged") == 0
        assert self.install(bin_dir, "--unchanged", changed=10) != 0

    @pytest.mark.parametrize("arguments", [(), ("--unchanged",)])
    def test_a_failed_run_is_a_failure(self, bin_dir, arguments):
        assert self.install(bin_dir, *arguments, failed=1) != 0


class TestAsk:
    def ask(self, bin_dir, answer, manager=0):
        recorded_program(bin_dir / "llm", {"What is the capital of France?": answer + "\n"})
        recorded_program(bin_dir / "llm-manager", {"status": "running\n", "test": ("104 of 104\n", manager)})
        return run("ask", LLM_BIN=str(bin_dir)).returncode

    def test_the_right_answer(self, bin_dir):
        assert self.ask(bin_dir, ANSWER) == 0

    def test_any_other_answer(self, bin_dir):
        assert self.ask(bin_dir, "Paris, I guess.") != 0

    def test_other_questions_answered_wrongly(self, bin_dir):
        assert self.ask(bin_dir, ANSWER, manager=1) != 0

    def test_the_question_is_one_that_the_model_knows(self):
        answers = (REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "answers.json").read_text(
            encoding="utf-8"
        )
        assert f'"question": "What is the capital of France?", "answer": "{ANSWER}"' in answers


@pytest.mark.skipif(UID != 0, reason="the domain system belongs to root")
class TestKill:
    """The server of a simulated Mac is really killed."""

    @pytest.fixture
    def host(self):
        with tempfile.TemporaryDirectory() as directory, LaunchdHost(os.path.realpath(directory), "system") as host:
            host.ensure(content=host.content())
            yield host

    def kill(self, host, bin_dir):
        recorded_program(bin_dir / "llm", {"health": "ready\n"})
        return run("kill", first=[bin_dir], LAUNCHCTL=host.launchctl, LLM_BIN=str(bin_dir))

    def test_launchd_starts_another(self, host, bin_dir):
        (before,) = host.servers()
        done = self.kill(host, bin_dir)
        assert done.returncode == 0, done.stderr
        (after,) = host.servers()
        assert after != before and not processes.alive(before)
        assert f"Process {before} was killed, process {after} answers." in done.stdout

    def test_without_a_job_there_is_nothing_to_kill(self, host, bin_dir):
        host.ensure("absent")
        assert self.kill(host, bin_dir).returncode != 0


def test_the_facts_are_those_that_the_collection_reads():
    done = run("facts")
    assert done.returncode == 0
    named = [*hardware.NAMES.values(), hardware.SYSCTL, power.PMSET, power.FDESETUP]
    named += [power.LOGIN_WINDOW[: -len(".plist")], " ".join(power.KEEP_AWAKE)]
    assert all(f"{name}" in done.stdout for name in named)


def test_the_report_never_hides_the_failure_before_it(bin_dir, tmp_path):
    done = run("report", first=[bin_dir], HOME=str(tmp_path), LAUNCHCTL="/nowhere/launchctl")
    assert done.returncode == 0
