# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What comes to be on a host by other means than a module that notes it in the manifest."""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.engine_build import CACHE


def of(paths, server, service, watchdog):
    """Path -> kind, see manifest.py, from those parts of the plan."""
    trees = [posixpath.join(paths["engine_dir"], name) for name in ("releases", "build", "src", CACHE)]
    logs = [server["log_file"], service["output_file"], service.get("supervisord_log"), watchdog["client"]["log"]]
    rendered = [service["runner"]["config"], (server["presets"] or {}).get("file")]
    return {
        **dict.fromkeys(trees, "tree"),
        paths["current"]: "link",
        **dict.fromkeys(filter(None, logs), "log"),
        **dict.fromkeys(filter(None, rendered), "marked"),
        **dict.fromkeys((service["record"], service["record"] + ".lock"), "file"),
    }
