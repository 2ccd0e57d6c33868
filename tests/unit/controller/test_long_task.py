# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a long task keeps its progress."""

import os
import subprocess

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class Action(LongTaskAction):
    """As far as the shell of the host goes; nothing is started."""

    def __init__(self, directory):
        self._directory = directory

    def get_shell_option(self, *_arguments, **_options):
        return self._directory

    def _remote_expand_user(self, path):
        return path

    def _low_level_execute_command(self, command):
        return {"rc": subprocess.run(["/bin/sh", "-c", command], check=False).returncode}

    def _with_plain_interpreter(self, _python, task_vars):
        return task_vars

    def _start(self, progress_file, _task_vars):
        return {
            "lease": os.stat(progress_file + ".lease").st_mode & 0o777,
            "directory": os.stat(self._directory).st_mode,
        }


def test_it_is_closed_to_others(tmp_path):
    assert Action(str(tmp_path / "it's new"))._watched({}) == {"lease": 0o600, "directory": 0o40700}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a directory of somebody else")
def test_a_directory_of_somebody_else_is_refused(tmp_path):
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(AnsibleActionFail, match=f"{tmp_path}.* is not a directory of this user"):
        Action(str(tmp_path))._watched({})
    assert os.listdir(tmp_path) == []
