# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a change of the service has to pass, and what tells that there is one: all that the plan knows of it."""

from __future__ import annotations

import functools
import hashlib
import json

from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_files

RUNNER = role_files.DIRECTORY / "service_runner"

#: What a change is not asked for: the self-test has looked at the device already.
ASKED_BY_VERIFY = ("server", "expected_device")


def rollout(paths, engine, server, service, health, ready_timeout):
    """The settings of the rollout of a change (module_utils/service/rollout.py), but for the release.

    ``files`` are the paths of what says what the server does: its command line, and the options of each model of a
    router. They change with the server, between its stop and its start.
    """
    presets = server["presets"]
    return {
        "engine_dir": paths["engine_dir"],
        "record": service["record"],
        "keep_releases": engine["keep_releases"],
        "files": [service["runner"]["config"], *([presets["file"]] if presets else [])],
        "health": {
            **{key: value for key, value in health.items() if key not in ASKED_BY_VERIFY},
            **({} if ready_timeout is None else {"timeout": ready_timeout}),
        },
    }


def fingerprint(server, service):
    """What a running server depends on, but for its release (module_utils/service/host_values.py)."""
    values = [
        server["arguments"],
        [server["presets"], server["key_files"]],
        [service["runner"], _digest_of_runner()],
    ]
    files = [*server["inputs"], server["key_file"]]
    return {"values": _digest(values), "files": [path for path in files if path is not None]}


@functools.cache
def _digest_of_runner():
    """What changes when a program between the service manager and the server does."""
    return _digest(role_files.texts(RUNNER))


def _digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
