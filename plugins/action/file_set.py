# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Reads the files on the controller and hands them to the module of the same name."""

from __future__ import annotations

import base64

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_files


class ActionModule(ActionBase):
    """One round trip for all files of a stage."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["files"] = [self._file(item) for item in arguments.get("files") or []]
        arguments["trees"] = [self._tree(item) for item in arguments.get("trees") or []]
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        answer.pop("invocation", None)  # all contents once more
        return {**result, **answer}

    def _file(self, item):
        if ("content" in item) == ("src" in item):
            raise AnsibleActionFail("{}: give one of content and src.".format(item.get("dest")))
        if "content" in item:
            return item
        source = self._find_needle("files", item["src"])
        with open(source, "rb") as stream:
            return {**item, "base64": base64.b64encode(stream.read()).decode()}

    def _tree(self, item):
        source = self._find_needle("files", item["src"])
        texts = role_files.texts(source)
        if not texts:
            raise AnsibleActionFail(f"{source} holds no Python file.")
        return {**item, "texts": texts}
