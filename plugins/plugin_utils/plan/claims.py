# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What comes to be on a host, by its places: noted in the manifest, and free or ours before anything is touched."""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.engine.store import CACHE
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import SELFTEST_FILES


def of(paths, server, service, watchdog):
    """What no module notes that makes it: path -> kind, see ownership/manifest.py, from those parts of the plan."""
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


def places(features, paths, server, service, watchdog):
    """Every place in which something is to be: path -> kind.

    Left out are the commands, which give way to others of their name, and models, whose stamps tell.
    """

    def below(directory, *parts):
        return posixpath.join(paths[directory], *parts)

    found = {
        **of(paths, server, service, watchdog),
        **dict.fromkeys(
            (paths[name] for name in ("install_dir", "engine_dir", "selftest_dir", "logs_dir")), "directory"
        ),
        **dict.fromkeys((below("selftest_dir", name) for name in SELFTEST_FILES), "file"),
        below("install_dir", "THIRD_PARTY_NOTICES"): "marked",
        paths["build_tools"]: "tree",
    }
    if features["download_models"]:
        found[paths["models_dir"]] = "directory"
    if features["setup_service"]:
        found.update((item["path"], item["kind"]) for item in service["directories"])
        found.update(dict.fromkeys((service["runner"]["directory"], service["environment_dir"]), "tree"))
        found.update({service["launcher"]: "marked", service["definition"]: "service"})
        if watchdog["enabled"]:
            found[watchdog["launcher"]] = "marked"
            found.update({watchdog["definition"]: "service"} if service["manager"] == "launchd" else {})
    if features["install_client_tools"]:
        found.update({paths["tools_dir"]: "directory", paths["bin_dir"]: "directory"})
        found.update({below("tools_dir", "lib"): "tree", below("tools_dir", "venv"): "tree"})
        found[paths["client_config"]] = "marked"
    return found
