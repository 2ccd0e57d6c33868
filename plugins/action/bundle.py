# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name, and keeps the configuration's secrets out of what is passed on."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base.addresses import withheld
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. An installation from a bundle has the files in it and asks no address for them."""

    def run(self, tmp=None, task_vars=None):
        if "plan" in self._task.args:
            self._task.args = contents(**self._task.args)
        texts = self._task.args.get("texts") or {}
        documents = {name: _without_queries(text) for name, text in texts.items() if name.endswith(".json")}
        if documents:
            self._task.args["texts"] = {**texts, **documents}
        return super().run(tmp, task_vars)


def contents(path, plan, config_file):
    """The options of the module that pack what ``plan``, made of ``config_file``, has installed on a host."""
    licenses = {model["name"]: model["license"] for model in plan["models"]}
    selftest = plan["paths"]["selftest_dir"] + "/"  # comes with the collection
    return {
        "path": path,
        "engine_dir": plan["paths"]["engine_dir"],
        "models": [file["dest"] for file in plan["files"] if not file["source"].get("path", "").startswith(selftest)],
        "requirements": [environment["requirements"] for environment in plan["environments"].values()],
        "texts": {
            "llm_config.json": Path(config_file).read_text(encoding="utf-8"),
            "licenses/macos_setup.llm.txt": (role_files.COLLECTION / "LICENSE").read_text(encoding="utf-8"),
            "licenses/llama.cpp.txt": role_files.read("licenses/llama.cpp.txt"),
            "licenses/models.json": json.dumps(licenses, indent=4, sort_keys=True),
        },
    }


def _without_queries(text):
    """A JSON document as it is, unless an address in it has a query."""
    document, queries = withheld(json.loads(text))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n" if queries else text
