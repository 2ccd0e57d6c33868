# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan's jobs: what the service manager runs, as options of launchd_service and supervisor_service."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.service import START_SECONDS
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import render


def jobs(plan):
    """The jobs ``server`` and ``watchdog``; supervisor runs the second as a program of the first.

    :param plan: the plan, complete but for its jobs. The release in the server's rollout is named by the host.
    """
    server = {
        **_common(plan),
        "log_file": plan["server"]["log_file"],
        "state": "started" if plan["service"]["auto_start"] else "stopped",
        "fingerprint": plan["service"]["fingerprint"],
        "rollout": {**plan["service"]["rollout"], "files": _server_files(plan), "release": None},
    }
    service = plan["service"]
    if service["manager"] == "supervisor":
        of_supervisor = {
            "name": service["program"],
            "config": service["definition"],
            "supervisord": service["supervisord"],
            "content": render("supervisord.conf.j2", plan=plan),
        }
        return {"server": {**server, **of_supervisor}}
    # Version 0.1.0 had newsyslog rotate a file of a daemon.
    newsyslog = {"newsyslog": service["newsyslog"]} if service["scope"] == "system" else {}
    return {
        "server": {
            **server,
            **_launchd(plan, service["name"], service["definition"], "com.llama.server.plist.j2"),
            **newsyslog,
            "enabled": service["auto_start"],
        },
        "watchdog": {
            **_common(plan),
            **_launchd(plan, plan["watchdog"]["name"], plan["watchdog"]["definition"], "com.llama.watchdog.plist.j2"),
            "state": "started" if plan["watchdog"]["enabled"] else "absent",
        },
    }


def _common(plan):
    return {"manifest": plan["paths"]["manifest"], "settle": START_SECONDS}


def _launchd(plan, label, definition, template):
    return {
        "label": label,
        "plist": definition,
        "content": render(template, plan=plan),
        "domains": plan["service"]["domains"],
        "launchctl": plan["host"].get("launchctl"),
        "output_file": plan["service"]["output_file"],
        "user": plan["service"]["user"],
        "home": plan["host"]["home"],
    }


def _server_files(plan):
    """What says what the server does, as texts by path: its command line, and the options of each model of a router."""
    templates = ("runner.json.j2", "models.ini.j2")
    return {path: render(name, plan=plan) for path, name in zip(plan["service"]["rollout"]["files"], templates)}
