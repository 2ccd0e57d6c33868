# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a module that may take hours and shows, while it runs, how far it is.

A module cannot print anything before it ends. So the module runs detached on its host (Ansible's own async
wrapper) and keeps its state in a small file (``module_utils/base/progress.py``); the action plugin reads that file
every now and then and prints one line per host. Each look renews the lease without which the module stops by
itself, so an interrupted play leaves no work running behind it.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.vars.clean import remove_internal_keys
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import LEASE_SUFFIX, describe

DISPLAY = Display()

FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 1.0
SECONDS_BETWEEN_LINES = 2.0
LONGEST_SILENCE_SECONDS = 5.0
DAY_SECONDS = 24 * 3600
PYTHON_SUFFIX = ".python"


class LongTaskAction(ActionBase):
    """Base of the action plugins of all long modules; the module takes a ``progress_file``."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        if self._task.async_val:
            raise AnsibleActionFail(f"{self._task.action} shows its own progress; leave async off.")
        if self._task.check_mode:
            return {**result, **self._execute_module(task_vars=task_vars)}
        return {**result, **(self._look(task_vars) or self._watched(task_vars))}

    def _look(self, task_vars):
        """The result of the module where a short look is enough for it, else None, as always here.

        The role enters a stage only when it has something to do (module host_info).
        """
        return None

    def _watched(self, task_vars):
        directory = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        progress_file = f"{directory}/llama_cpp-{secrets.token_hex(8)}.json"
        lease, python = progress_file + LEASE_SUFFIX, progress_file + PYTHON_SUFFIX
        leftovers = [progress_file, lease, python]
        # Where ANSIBLE_ASYNC_DIR is a place that others write in, too, somebody may have made it first.
        made = self._low_level_execute_command(
            "umask 077; mkdir -p {0} && test -O {0} && touch {1}".format(shlex.quote(directory), shlex.quote(lease))
        )
        if made.get("rc"):
            raise AnsibleActionFail(
                f"{directory}, in which Ansible keeps its running jobs (async_dir), is not a directory of this user. "
                "Nothing was changed. Remove it or choose another, then run the play again."
            )
        try:
            started = self._start(progress_file, self._with_plain_interpreter(python, task_vars))
            if "ansible_job_id" not in started:
                return started
            job = self._watch(started["results_file"], progress_file, lease, task_vars)
            leftovers.append(started["results_file"])
            return self._result(job)
        finally:
            self._low_level_execute_command("rm -f " + " ".join(map(shlex.quote, leftovers)))

    def _with_plain_interpreter(self, python, task_vars):
        """``task_vars`` in which a shell can do nothing with the path of Python; else a script ``python`` runs it.

        Ansible quotes the interpreter everywhere but before its async wrapper (ActionBase._execute_module).
        """
        interpreter = self._templar.template(task_vars.get("ansible_python_interpreter") or "")
        if shlex.quote(interpreter) == interpreter:
            return task_vars
        script = f'#!/bin/sh\nexec {shlex.quote(interpreter)} "$@"\n'
        path = shlex.quote(python)
        self._low_level_execute_command(f"umask 077; printf %s {shlex.quote(script)} > {path} && chmod 0700 {path}")
        return {**task_vars, "ansible_python_interpreter": python}

    def _start(self, progress_file, task_vars):
        arguments = {**self._task.args, "progress_file": progress_file}
        self._task.async_val = DAY_SECONDS
        try:
            return self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0

    def _watch(self, results_file, progress_file, lease, task_vars):
        """Show progress until the job has written its result; returns the text of that."""
        look = "touch {}; cat {} 2>/dev/null; printf '\\n'; cat {}".format(
            *map(shlex.quote, (lease, progress_file, results_file))
        )
        host = task_vars["inventory_hostname"]
        shown, began, wait = None, time.monotonic(), FIRST_POLL_SECONDS
        shown_at = began
        while True:
            answer = self._low_level_execute_command(look)
            progress, _newline, job = (answer.get("stdout") or "").partition("\n")
            line, silence = _line(progress), time.monotonic() - shown_at
            due = silence >= (SECONDS_BETWEEN_LINES if line != shown else LONGEST_SILENCE_SECONDS)
            if line and (due or (_is_finished(job) and shown not in (None, line))):
                DISPLAY.display("%s | %s, %d s" % (host, line, time.monotonic() - began))
                shown, shown_at = line, time.monotonic()
            if _is_finished(job):
                return job
            time.sleep(wait)
            wait = min(LONGEST_POLL_SECONDS, wait * 1.5)

    def _result(self, job):
        """The result of the module, which the async wrapper has left as it came: no further module has to fetch it."""
        result = self._parse_returned_data({"stdout": job}, "legacy")  # the profile of modules in Python
        remove_internal_keys(result)
        return result


def _line(progress):
    try:
        return describe(json.loads(progress))
    except ValueError:
        return None


def _is_finished(job):
    """Whether Ansible's async wrapper has replaced its "started" note by the module's result."""
    try:
        return "started" not in json.loads(job)
    except ValueError:
        return False
