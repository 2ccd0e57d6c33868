# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How a long task is started and watched. (How it ends with the play: integration/test_interruptions.py.)"""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import shell_loader
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import KEPT_DAYS, LongTaskAction

#: Modules, as far as their output and their end go.
ANSWERS = """
import json, os, sys
print(json.dumps({"changed": True, "said": sys.argv[1:], "from": os.environ["FROM"], "in": os.getcwd()}))
"""
FAILS = "import sys; print('no JSON'); sys.exit('it broke')"
IS_KILLED = "import os; os.kill(os.getpid(), 9)"


class Action(LongTaskAction):
    """On this machine, with Ansible's own words for the command of a module."""

    def __init__(self, directory, module, by_file=None, environment="FROM=me "):
        self._directory, self._module, self._by_file, self._environment = directory, module, by_file, environment
        self._connection = SimpleNamespace(_shell=shell_loader.get("sh"), become=None)
        self._task = SimpleNamespace(args={})
        self._used_interpreter = None

    def get_shell_option(self, *_arguments, **_options):
        return self._directory

    def _remote_expand_user(self, path):
        return path

    def _low_level_execute_command(self, command, in_data=None):
        done = subprocess.run(["/bin/sh", "-c", command], input=in_data, capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    def _execute_module(self, module_args=None, task_vars=None):
        if self._by_file:
            self._by_file.write_text(self._module)
        build = self._connection._shell.build_module_command
        command = build(self._environment, f"#!{sys.executable}", str(self._by_file or ""), arg_path=None)
        done = self._low_level_execute_command(command, None if self._by_file else self._module)
        return json.loads(done["stdout"])


class Become:
    """A become plugin, as far as it is asked."""

    def __init__(self, user):
        self._user = user

    def get_option(self, _name):
        return self._user


def run(directory, module, **how):
    return Action(str(directory), module, **how)._watched({"inventory_hostname": "mac"})


@pytest.mark.parametrize("pipelined", [True, False])
def test_the_result_is_the_modules(tmp_path, pipelined):
    jobs = tmp_path / "it's $(exit) new"
    result = run(jobs, ANSWERS, by_file=None if pipelined else tmp_path / "module.py")
    assert (result["changed"], result["said"], result["from"], result["in"]) == (True, [], "me", os.getcwd())
    assert "detached" not in result
    assert list(jobs.iterdir()) == [], "nothing of a job stays"


def test_it_is_closed_to_others_and_the_program_is_not_left_lying_about(tmp_path):
    module = f"""
import json, os, pathlib
job = next(pathlib.Path({str(tmp_path / "jobs")!r}).iterdir())
modes = [oct(path.stat().st_mode & 0o777) for path in (job.parent, job, job / "progress.lease")]
print(json.dumps({{"modes": modes, "files": sorted(os.listdir(job)), "umask": os.umask(0)}}))
"""
    umask = os.umask(0o027)
    try:
        result = run(tmp_path / "jobs", module)
    finally:
        os.umask(umask)
    assert result["modes"] == ["0o700", "0o700", "0o600"]
    assert result["files"] == ["errors", "progress.lease", "result"]
    assert result["umask"] == 0o027, "the module's own files are made as the user wants them"


@pytest.mark.parametrize("module", [FAILS, IS_KILLED])
def test_a_module_that_ends_without_a_result_has_failed(tmp_path, module):
    result = run(tmp_path / "jobs", module)
    assert result["failed"]
    assert "it broke" in result["module_stderr"] if module == FAILS else result["rc"] > 128


def test_it_does_not_end_with_the_shell_that_started_it(tmp_path):
    """As by the end of a connection, or Ctrl-C for a play on this machine."""
    go_on = tmp_path / "go on"
    module = f"""
import json, os, signal, time
ignored = [signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGINT)]
while not os.path.exists({str(go_on)!r}):
    time.sleep(0.02)
print(json.dumps({{"ignored": [handler == signal.SIG_IGN for handler in ignored]}}))
"""
    action = Action(str(tmp_path / "jobs"), module)
    with action._detached(str(tmp_path / "jobs" / "llama_cpp-1")):
        assert action._execute_module()["detached"]
    go_on.touch()
    ended = action._watch(str(tmp_path / "jobs" / "llama_cpp-1"), {"inventory_hostname": "mac"})
    assert ended["ignored"] == [True, True]


def test_what_is_in_the_environment_is_not_on_show_while_it_runs(tmp_path):
    """The shell that started it is gone in a moment; what watches over the module stays."""
    module = """
import json, os, subprocess, time
deadline, on_show = time.monotonic() + 10, True
while on_show and time.monotonic() < deadline:
    words = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True).stdout
    on_show = os.environ["TOKEN"].encode() in words
print(json.dumps({"on_show": on_show}))
"""
    assert run(tmp_path / "jobs", module, environment="TOKEN=7d1c-of-the-owner")["on_show"] is False


@pytest.mark.parametrize(("user", "place"), [("root", "~/.ansible_async"), ("me", "/chosen"), (None, "/chosen")])
def test_roots_jobs_are_in_no_place_that_others_chose(user, place):
    action = Action("/chosen", ANSWERS)
    action._connection.become = user and Become(user)
    assert action._parent() == place


def test_each_look_renews_the_lease(tmp_path):
    """A lease that the module would see grow old is as new as the last look."""
    module = f"""
import json, os, pathlib, time
lease = next(pathlib.Path({str(tmp_path / "jobs")!r}).glob("*/progress.lease"))
os.utime(lease, (0, 0))
deadline = time.monotonic() + 60
while lease.stat().st_mtime == 0 and time.monotonic() < deadline:
    time.sleep(0.02)
print(json.dumps({{"renewed": lease.stat().st_mtime}}))
"""
    assert run(tmp_path / "jobs", module)["renewed"] > time.time() - 120


def test_a_job_whose_directory_is_gone_is_not_waited_for(tmp_path):
    module = f"import shutil; shutil.rmtree({str(tmp_path / 'jobs')!r})"
    with pytest.raises(AnsibleActionFail, match=f"{tmp_path}/jobs/.* is gone"):
        run(tmp_path / "jobs", module)


def test_what_killed_plays_have_left_goes_with_time(tmp_path):
    jobs = tmp_path / "jobs"
    old = KEPT_DAYS * 86400 + 60
    for name, age in {"llama_cpp-old": old, "llama_cpp-new": old - 120, "123.456": old}.items():
        (jobs / name).mkdir(parents=True)
        (jobs / name / "result").touch()
        os.utime(jobs / name, (time.time() - age,) * 2)
    run(jobs, ANSWERS)
    assert {path.name for path in jobs.iterdir()} == {"llama_cpp-new", "123.456"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of somebody else")
def test_a_directory_of_somebody_else_is_refused(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    result = run(tmp_path, ANSWERS)
    assert result["failed"] and str(tmp_path) in result["msg"]
    assert os.listdir(tmp_path) == []
