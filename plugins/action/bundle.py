# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Shows the progress of the module of the same name, and keeps the configuration's secrets out of what is passed on."""

from __future__ import annotations

import json

from ansible_collections.macos_setup.llm.plugins.module_utils.base.addresses import withheld
from ansible_collections.macos_setup.llm.plugins.plugin_utils.long_task import LongTaskAction


class ActionModule(LongTaskAction):
    """See :class:`LongTaskAction`. An installation from a bundle has the files in it and asks no address for them."""

    def run(self, tmp=None, task_vars=None):
        texts = self._task.args.get("texts") or {}
        documents = {name: _without_queries(text) for name, text in texts.items() if name.endswith(".json")}
        if documents:
            self._task.args["texts"] = {**texts, **documents}
        return super().run(tmp, task_vars)


def _without_queries(text):
    """A JSON document as it is, unless an address in it has a query."""
    document, queries = withheld(json.loads(text))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n" if queries else text
