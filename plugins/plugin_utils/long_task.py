# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Runs a module that may take hours and shows, while it runs, how far it is.

A module cannot print anything before it ends. So the module runs in the background on its host and keeps its state in a
small file (``module_utils/base/progress.py``); the action plugin reads that file every now and then and prints one line
per host. Each look renews the lease without which the module stops by itself, so an interrupted play leaves no work
running behind it.

Ansible's own async wrapper would do the same with a second module and a further Python process (docs/decisions/0190).
"""

from __future__ import annotations

import contextlib
import json
import posixpath
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

#: The files of a job, in its directory.
PROGRESS, MODULE, RESULT, ERRORS, STATUS = "progress", "module", "result", "errors", "status"
LEASE = PROGRESS + LEASE_SUFFIX

#: Prefix of the directory of a job, and for how many days one that a killed play has left is kept.
JOB_PREFIX, KEPT_DAYS = "llama_cpp-", 2

#: Starts a command in the background and answers at once. Its words: the directory to make for the job, what to answer
#: when that is not possible and when it is, ``piped`` for a module that comes by standard input, and the command.
#: In one line and without single quotes: it passes through up to three shells, one of them the user's own.
DETACH = " ".join(
    f"""
directory=$1; refused=$2; started=$3; piped=$4; shift 4; parent="${{directory%/*}}";
(umask 077 && mkdir -p "$parent" && test -O "$parent" && mkdir "$directory" && : > "$directory/{LEASE}")
 || {{ printf "%s" "$refused"; exit 0; }};
find "$parent" -maxdepth 1 -name "{JOB_PREFIX}*" -mtime +{KEPT_DAYS - 1} -exec rm -rf {{}} +;
test -z "$piped" || cat > "$directory/{MODULE}";
(
 trap "" HUP;
 test -z "$piped" || {{ exec < "$directory/{MODULE}"; rm "$directory/{MODULE}"; }};
 "$@" > "$directory/{RESULT}" 2> "$directory/{ERRORS}";
 echo $? > "$directory/{STATUS}";
) < /dev/null > /dev/null 2>&1 &
printf "%s" "$started"
""".split()
)

#: Renews the lease and prints a line of progress and, after the end, the exit status and what the module has printed.
LOOK = (
    f"touch {LEASE} && {{ cat {PROGRESS} 2>/dev/null; echo; "
    f"if test -s {STATUS}; then cat {STATUS} {RESULT}; cat {ERRORS} >&2; fi; }}"
)


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
        directory = f"{self._parent()}/{JOB_PREFIX}{secrets.token_hex(8)}"
        with self._detached(directory):
            arguments = {**self._task.args, "progress_file": f"{directory}/{PROGRESS}"}
            started = self._execute_module(module_args=arguments, task_vars=task_vars)
        if not started.pop("detached", False):
            return started
        ended = self._watch(directory, task_vars)
        self._low_level_execute_command(f"rm -rf {shlex.quote(directory)}")
        return {**started, **ended}

    def _parent(self):
        """The directory of all jobs. Root's are in root's home, whatever place was chosen: others may write in that."""
        is_root = self._connection.become and self.get_become_option("become_user") == "root"
        chosen = None if is_root else self.get_shell_option("async_dir")
        return self._remote_expand_user(chosen or "~/.ansible_async")

    @contextlib.contextmanager
    def _detached(self, directory):
        """Within it, a module that is executed runs on in the background, as DETACH says, and answers ``detached``."""
        shell = self._connection._shell
        build = shell.build_module_command
        # Where the place that was chosen (async_dir) is one that others write in, too, somebody may have made it first.
        refusal = (
            f"{posixpath.dirname(directory)}, in which running jobs are watched, is not a directory of this user. "
            "Nothing was changed. Remove it or give it to this user, then run the play again."
        )
        answers = {"failed": True, "msg": refusal}, {"detached": True, "changed": False}

        def build_detached(environment, shebang, command, arg_path=None):
            words = [directory, *map(json.dumps, answers), "" if command else "piped"]
            detach = shlex.join(["/bin/sh", "-c", DETACH, "sh", *words])
            # Before this shell and not among its words, which everybody can see as long as it runs.
            return f"{environment} {detach} {build('', shebang, command, arg_path)}"

        shell.build_module_command = build_detached
        try:
            yield
        finally:
            del shell.build_module_command

    def _watch(self, directory, task_vars):
        """Show progress until the job has ended; returns the result of the module."""
        look = f"cd {shlex.quote(directory)} && {LOOK}"
        host = task_vars["inventory_hostname"]
        shown, began, wait = None, time.monotonic(), FIRST_POLL_SECONDS
        shown_at = began
        while True:
            answer = self._low_level_execute_command(look)
            if answer.get("rc"):
                raise AnsibleActionFail(
                    f"{directory}, by which the running job is watched, is gone. Run the play again."
                )
            progress, _newline, ended = (answer.get("stdout") or "").partition("\n")
            line, silence = _line(progress), time.monotonic() - shown_at
            due = silence >= (SECONDS_BETWEEN_LINES if line != shown else LONGEST_SILENCE_SECONDS)
            if line and (due or (ended and shown not in (None, line))):
                DISPLAY.display("%s | %s, %d s" % (host, line, time.monotonic() - began))
                shown, shown_at = line, time.monotonic()
            if ended:
                return self._result(*ended.split("\n", 1), answer.get("stderr") or "")
            time.sleep(wait)
            wait = min(LONGEST_POLL_SECONDS, wait * 1.5)

    def _result(self, status, output, errors):
        """The result of the module, or what Ansible makes of one that ended without."""
        printed = {"rc": int(status), "stdout": output, "stderr": errors}
        result = self._parse_returned_data(printed, "legacy")  # the profile of modules in Python
        remove_internal_keys(result)
        return result


def _line(progress):
    try:
        return describe(json.loads(progress))
    except ValueError:
        return None
