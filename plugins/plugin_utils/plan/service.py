# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan's service and the watchdog beside it, whichever manager runs them."""

from __future__ import annotations

import hashlib
import os
import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.power import KEEP_AWAKE
from ansible_collections.macos_setup.llm.plugins.module_utils.macos.settings import WIRED_LIMIT_NAME
from ansible_collections.macos_setup.llm.plugins.module_utils.service.host_values import FINGERPRINT, SESSION
from ansible_collections.macos_setup.llm.plugins.module_utils.service.supervisor.config import SOCKET_BYTES
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import launchd
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import render

SERVICE_NAME, PROGRAM = "com.llama.server", "llama-server"
WATCHDOG_NAME = "com.llama.watchdog"
SOCKET = "supervisor.sock"

#: From the first request to stop to the second, which ends a server that a request in flight keeps from ending; and
#: from the first until the service manager kills what is left.
STOP_SECONDS, KILL_SECONDS = 10, 20

#: How soon a server that died may be started again.
THROTTLE_SECONDS = 10

#: A server that ends by itself so soon after its start, so often in a row, is left alone.
FAST_EXIT = {"seconds": 60, "limit": 5}

#: What the service manager writes of runner and watchdog, which is next to nothing unless they fail: from which size on
#: it is cut down at a start, and to what.
OUTPUT_LIMIT = {"bytes": 1_000_000, "kept_bytes": 500_000}

#: What has run for so long counts as started.
START_SECONDS = 1


def service(config, paths, host, name=SERVICE_NAME, program=PROGRAM):
    """The service's part of the plan.

    :param name: its name for launchd; ``program`` is the one for supervisor, and of what it runs.
    :raises LlamaCppError: this host has no such service manager, or no such user for it.
    """
    manager = config["service"]["manager"]
    if manager == "auto":
        manager = "launchd" if host["system"] == "Darwin" else "supervisor"
    if manager == "launchd" and host["system"] != "Darwin":
        raise LlamaCppError(
            'service.manager: "launchd" exists on macOS only and this host runs {}; expected: "auto" or "supervisor". '
            "Nothing was changed.".format(host["system"])
        )
    launchd.check_user(config["service"], manager, host)
    directory, mac = paths["service_dir"], host["system"] == "Darwin"
    keep_awake = config["service"]["keep_awake"] and mac
    plan = {
        "manager": manager,
        "name": name,
        "scope": config["service"]["scope"],
        "user": host["user"],
        "auto_start": config["llm_settings"]["auto_start"],
        "keep_awake": keep_awake,
        # A setting of the whole Mac, which takes root: part of what a daemon of the system is for.
        "autorestart": keep_awake and config["service"]["scope"] == "system",
        "wired_limit_mb": config["service"]["wired_limit_mb"] if mac else 0,
        # The watchdog before the server that it watches.
        "daemons": [{"label": label, "plist": launchd.daemon(label, host)} for label in (WATCHDOG_NAME, SERVICE_NAME)],
        "placeholders": {"fingerprint": FINGERPRINT, "session": SESSION},
        "wired_limit_plist": launchd.daemon(WIRED_LIMIT_NAME, host),
        "mac_record": launchd.mac_record(host),
        "launcher": posixpath.join(directory, program),
        "home": posixpath.join(directory, "home"),
        "run_dir": posixpath.join(directory, "run"),
        "record": posixpath.join(directory, "proven.json"),
        "output_file": posixpath.join(paths["logs_dir"], "service.log"),
        "output_limit": OUTPUT_LIMIT,
        "environment_dir": posixpath.join(directory, "venv"),
        "python": posixpath.join(directory, "venv", "bin", "python"),
        "stop_seconds": KILL_SECONDS,
        "start_seconds": START_SECONDS,
        "throttle_seconds": THROTTLE_SECONDS,
        "runner": {
            "directory": posixpath.join(directory, "runner"),
            "config": posixpath.join(directory, "runner.json"),
            "state_file": posixpath.join(directory, "run", program + ".json"),
            "beside": list(KEEP_AWAKE) if keep_awake else [],
            "rotation": {
                "max_bytes": config["service"]["log_rotation"]["max_megabytes"] * 1_000_000,
                "keep": config["service"]["log_rotation"]["keep"],
            },
            "stop_seconds": STOP_SECONDS,
            # One more than it takes to count as started: a supervisord repeats a start that failed, however it ended.
            "fast_exit": {**FAST_EXIT, "settle_seconds": START_SECONDS + 1},
        },
    }
    public, private = [paths["logs_dir"], directory], [plan["home"], plan["run_dir"]]
    if manager == "launchd":
        plan.update(launchd.places(plan["scope"], name, host))
        if plan["scope"] == "user":
            public.append(plan["directory"])
    else:
        plan["program"] = program
        plan["definition"] = posixpath.join(directory, "supervisord.conf")
        plan["supervisord"] = posixpath.join(directory, "venv", "bin", "supervisord")
        plan["stdout"] = {"bytes": 0, "backups": 0}
        plan["supervisord_log"] = posixpath.join(paths["logs_dir"], "supervisord.log")
        plan["pid_file"] = posixpath.join(plan["run_dir"], "supervisord.pid")
        plan["socket"] = posixpath.join(socket_directory(directory), SOCKET)
        private.append(posixpath.dirname(plan["socket"]))
    # u+rwx leaves a directory that may be the owner's as open or closed as it is.
    plan["directories"] = [{"path": path, "mode": "u+rwx", "kind": "directory"} for path in public]
    plan["directories"] += [{"path": path, "mode": "0700", "kind": "tree"} for path in dict.fromkeys(private)]
    return plan


def mac_settings(service):
    """What is to be set of the Mac itself, as options of the module mac_settings."""
    return {
        "wired_limit_mb": service["wired_limit_mb"],
        "plist": service["wired_limit_plist"],
        "content": render("com.llama.wired-limit.plist.j2", wired_limit_mb=service["wired_limit_mb"]),
        "autorestart": service["autorestart"],
        "record": service["mac_record"],
    }


def description(service, server, host):
    """The service as module_utils/service/description.py opens it, and where the commands find out more of it."""
    named = ("manager", "name", "definition", "user", "auto_start", "domains", "program", "supervisord")
    return {
        **{key: service[key] for key in named if key in service},
        "launchctl": host.get("launchctl"),
        "log": server["log_file"],
        "state_file": service["runner"]["state_file"],
    }


def watchdog(config, service, paths):
    """The watchdog's part of the plan; ``client`` is what client.json tells it. It is one of the commands."""
    settings = dict(config["service"]["watchdog"])
    agent = settings.pop("agent", None)
    if agent:
        drain_file = posixpath.join(service["run_dir"], "draining")
        agent = {**agent, "address": config["llm_settings"]["server_host"], "drain_file": drain_file}
    return {
        "enabled": settings.pop("enabled") and config["feature_flags"]["install_client_tools"],
        "name": WATCHDOG_NAME,
        "program": "llama-watchdog",
        "definition": posixpath.join(posixpath.dirname(service["definition"]), WATCHDOG_NAME + ".plist"),
        "launcher": posixpath.join(paths["service_dir"], "llama-watchdog"),
        "client": {
            **settings,
            "agent": agent,
            "idle_unload_seconds": config["server"].get("idle_unload_seconds"),
            "log": posixpath.join(paths["logs_dir"], "watchdog.log"),
            "state_file": posixpath.join(service["run_dir"], "watchdog.json"),
        },
    }


def socket_directory(directory, name=SOCKET):
    """Where sockets of a service in ``directory`` lie, the longest of them ``name``: below it, or below /tmp when that
    path is longer than a socket's may be.
    """
    path = posixpath.join(directory, "run", name)
    if len(os.fsencode(path)) <= SOCKET_BYTES:
        return posixpath.dirname(path)
    return f"/tmp/llama-cpp-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"
