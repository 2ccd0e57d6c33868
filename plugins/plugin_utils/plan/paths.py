# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where things lie on a host."""

from __future__ import annotations

import posixpath

#: The files of the self-test, in its directory on the host as in the role's.
SELFTEST_FILES = ("selftest.gguf", "reference.gguf", "answers.json")


def paths(settings, host):
    """Every path that more than one stage knows, absolute, by name; ``settings`` are the ``llm_settings``."""
    install, commands = expanded(settings["install_dir"], host), expanded(settings["bin_dir"], host)

    def below(*parts):
        return posixpath.join(install, *parts)

    return {
        "install_dir": install,
        "engine_dir": below("engine"),
        "build_tools": below("engine", "build-tools"),
        "current": below("engine", "current"),
        "selftest_dir": below("engine", "selftest"),
        "models_dir": expanded(settings["models_dir"], host) if "models_dir" in settings else below("models"),
        "logs_dir": expanded(settings["logs_dir"], host) if "logs_dir" in settings else below("logs"),
        "bin_dir": commands,
        "share_dir": _share_of(commands, host["home"]) or below("tools", "share"),
        "service_dir": below("service"),
        "tools_dir": below("tools"),
        "client_config": below("tools", "client.json"),
        "manifest": below("manifest.json"),
    }


def _share_of(commands, home):
    """Where man and the shells look for what goes with the programs in the directory ``commands``; None: nowhere."""
    above, name = posixpath.split(commands)
    if name != "bin":
        return None
    return posixpath.join(home, ".local", "share") if above == home else posixpath.join(above, "share")


def expanded(path, host):
    """``path`` with ``~`` replaced by the home of the host's user, and without a trailing slash."""
    if path == "~" or path.startswith("~/"):
        path = host["home"] + path[1:]
    return posixpath.normpath(path)
