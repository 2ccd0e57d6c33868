# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan's files: what each stage writes onto the host, complete with its text.

A file has its text (``content``) or the name of a file of the role (``src``); a tree is a directory of the role. The
module file_set puts them in place, and host_info compares them with the host by their digests.
"""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import commands, simonw
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import SELFTEST_FILES
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import SCRIPT, render
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_files import read


def file_sets(plan):
    """The file sets of a plan by stage: ``foundation``, ``service`` and ``tools``, as options of file_set.

    :param plan: the plan, complete but for its ``file_sets``.
    """
    return {
        "foundation": _foundation(plan),
        "service": _service(plan),
        "tools": _tools(plan),
    }


def _foundation(plan):
    """What the engine and the models share, and the self-test, whose model can be served too."""
    directory = plan["paths"]["selftest_dir"]
    notices = {
        "dest": posixpath.join(plan["paths"]["install_dir"], "THIRD_PARTY_NOTICES"),
        "content": render("THIRD_PARTY_NOTICES.j2", plan=plan, licence=read("licenses/llama.cpp.txt")),
    }
    selftest = [{"dest": posixpath.join(directory, name), "src": f"selftest/{name}"} for name in SELFTEST_FILES]
    return {
        "directories": [{"path": plan["paths"]["install_dir"]}, {"path": directory}],
        "files": [*selftest, notices],
        "trees": [],
        "blocks": {},
        "keys": [],
        "claims": plan["claims"],
    }


def _service(plan):
    """What stands between the service manager and the server. Without the server's command line: see the rollout."""
    launchers = [(plan["service"]["launcher"], "llama-server.sh.j2")]
    if plan["watchdog"]["enabled"]:
        launchers.append((plan["watchdog"]["launcher"], "llama-watchdog.sh.j2"))
    server = plan["server"]
    return {
        "directories": plan["service"]["directories"],
        "files": [{"dest": dest, "content": render(template, plan=plan), **SCRIPT} for dest, template in launchers],
        "trees": [{"src": "service_runner", "dest": plan["service"]["runner"]["directory"]}],
        "blocks": {},
        "keys": [server["key_file"]] if server["generate_key"] else [],
        "claims": plan["claims"],
    }


def _tools(plan):
    paths = plan["paths"]
    return {
        "directories": [{"path": paths["tools_dir"]}, {"path": paths["bin_dir"]}],
        "files": [
            {"dest": paths["client_config"], "content": render("client.json.j2", plan=plan)},
            *commands.files(plan),
        ],
        "trees": [{"src": "llm_tools", "dest": posixpath.join(paths["tools_dir"], "lib")}],
        "blocks": simonw.blocks(plan),
        "keys": [],
        "claims": {},
    }


def environments(plan):
    """The Python environments of a plan by stage, as far as no host was asked."""
    supervisor = plan["service"]["manager"] == "supervisor"
    return {
        "service": {
            "path": plan["service"]["environment_dir"],
            "requirements": read("requirements/supervisor.txt") if supervisor else "",
        },
        "tools": {
            "path": posixpath.join(plan["paths"]["tools_dir"], "venv"),
            "requirements": read("llm_tools/requirements.txt"),
        },
    }
