# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Reads the files on the controller and hands them to the module of the same name."""

from __future__ import annotations

import hashlib
import json
import tempfile

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """One round trip for all files of a stage. Its Python environment may take longer where the host has no uv."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        arguments = self._task.args
        files = [self._file(item) for item in arguments.get("files") or []]
        trees = [self._tree(item) for item in arguments.get("trees") or []]
        self._task.args = {**arguments, "files": files, "trees": trees}
        result = super().run(tmp, task_vars)
        result.pop("invocation", None)  # all contents once more
        return result

    def _look(self, task_vars):
        environment = self._task.args.get("environment")
        return None if environment and not environment.get("uv") else self._execute_module(task_vars=task_vars)

    def _file(self, item):
        if ("content" in item) == ("src" in item):
            raise AnsibleActionFail("{}: give one of content and src.".format(item.get("dest")))
        if "content" in item:
            return item
        source = self._find_needle("files", item["src"])
        with open(source, "rb") as stream:
            sha256 = hashlib.sha256(stream.read()).hexdigest()
        return {**item, "staged": self._staged(source, sha256), "sha256": sha256}

    def _staged(self, source, name):
        """The path on the host of a copy of ``source``, in the temporary directory of the task.

        As an argument its bytes would be part of a program, which the host's Python reads as one line of source.
        """
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        path = self._transfer_file(source, shell.join_path(shell.tmpdir, name))
        self._fixup_perms2((shell.tmpdir, path))
        return path

    def _tree(self, item):
        source = self._find_needle("files", item["src"])
        texts = role_files.texts(source)
        if not texts:
            raise AnsibleActionFail(f"{source} holds no Python file.")
        content = json.dumps(texts).encode()
        sha256 = hashlib.sha256(content).hexdigest()
        with tempfile.NamedTemporaryFile(dir=constants.DEFAULT_LOCAL_TMP) as stream:
            stream.write(content)
            stream.flush()
            return {**item, "staged": self._staged(stream.name, sha256), "sha256": sha256}
