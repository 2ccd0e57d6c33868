# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan of an RPC worker: ggml-rpc-server under the same managers and the same runner as llama-server."""

from __future__ import annotations

import hashlib
import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.rpc_worker import PROGRAM
from ansible_collections.macos_setup.llm.plugins.module_utils.net.private_address import (
    private_network,
    why_not_private,
)
from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import service as service_plan
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.rollout import RUNNER
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import SCRIPT, render

LABEL = "com.llama.rpc-worker"
OPEN = "The protocol has no authentication: anyone who reaches a worker controls it."


def plan(variables, config, host, release):
    """The plan of a worker.

    :param variables: those of its role, by name without the prefix.
    :param config: the configuration of the host, of which the service's manager and scope are taken.
    :param host: what host_facts() says, with ``launchctl``, ``daemons_dir`` and ``newsyslog_dir``.
    :param release: the directory of the release that it runs; None as long as there is only to be seen where it lies.
    :raises LlamaCppError: with everything that is wrong in the variables.
    """
    wanted = variables["state"] == "present"
    if wanted:
        _require(variables, config)
    directory = expanded(variables["directory"], host)
    paths = {
        "install_dir": directory,
        "service_dir": posixpath.join(directory, "service"),
        "logs_dir": posixpath.join(directory, "logs"),
        "manifest": posixpath.join(directory, "manifest.json"),
    }
    service = service_plan.service(_always_on(config), paths, host, LABEL, PROGRAM)
    found = {"wanted": wanted, "host": host, "paths": paths, "service": service, "job": _job(paths, service, host)}
    return _complete(found, variables, release) if release else found


def _require(variables, config):
    wrong, network = [], None
    if not config["llm_settings"]["enabled"]:
        wrong.append("  llm_settings.enabled: expected: true, since a worker needs the engine.")
    try:
        network = private_network(variables["network"])
    except ValueError as error:
        wrong.append(f"  llama_cpp_rpc_worker_network: {error}")
    why = why_not_private(variables["address"], network)
    if why:
        wrong.append(f"  llama_cpp_rpc_worker_address: {why}")
    if wrong:
        raise LlamaCppError("\n".join([*wrong, f"  {OPEN}"]))


def _always_on(config):
    """``config`` for a service that starts by itself: a worker has nothing to be asked for when it is stopped."""
    return {**config, "llm_settings": {**config["llm_settings"], "auto_start": True}}


def _complete(plan, variables, release):
    """``plan`` with what runs, and with the files of the host and the definition of the service as texts."""
    service, paths = plan["service"], plan["paths"]
    endpoint, program = f"{variables['address']}:{variables['port']}", posixpath.join(release, "bin", PROGRAM)
    server = {
        "program": program,
        "arguments": arguments(variables),
        "awaits": {"listens_on": endpoint},
        "environment": {},
        "key_files": {},
        "needed": [program],
        "log_file": posixpath.join(paths["logs_dir"], PROGRAM + ".log"),
    }
    plan = {**plan, "server": server, "endpoint": endpoint}
    runner = render("runner.json.j2", plan=plan)
    facts = [runner, *(part for pair in sorted(role_files.texts(RUNNER).items()) for part in pair)]
    service = {**service, "placeholders": {**service["placeholders"], "fingerprint": _digest(facts)}}
    plan = {**plan, "service": service}
    files = [
        {"dest": service["runner"]["config"], "content": runner},
        {"dest": service["launcher"], "content": render("llama-server.sh.j2", plan=plan), **SCRIPT},
    ]
    template = "supervisord.conf.j2" if service["manager"] == "supervisor" else "com.llama.server.plist.j2"
    logs = [server["log_file"], service["output_file"], service.get("supervisord_log")]
    return {
        **plan,
        "file_set": {
            "manifest": paths["manifest"],
            "directories": [{"path": paths["install_dir"]}, *service["directories"]],
            "files": files,
            "trees": [{"src": str(RUNNER), "dest": service["runner"]["directory"]}],
            "claims": dict.fromkeys(filter(None, logs), "log"),
        },
        "requirements": role_files.read("requirements/supervisor.txt") if service["manager"] == "supervisor" else "",
        "job": {**plan["job"], "content": render(template, plan=plan), "log_file": server["log_file"]},
    }


def arguments(variables):
    """The command line of ggml-rpc-server, but for the program."""
    device = ["--device", variables["device"]] if variables["device"] else []
    cache = ["--cache"] if variables["cache"] else []
    return ["--host", variables["address"], "--port", str(variables["port"]), *device, *cache]


def _job(paths, service, host):
    """What its manager is told, as options of launchd_service or supervisor_service, but for its definition."""
    common = {"manifest": paths["manifest"], "settle": service_plan.START_SECONDS}
    if service["manager"] == "supervisor":
        of_supervisor = {"config": service["definition"], "supervisord": service["supervisord"]}
        return {**common, "name": service["program"], **of_supervisor}
    return {
        **common,
        "label": service["name"],
        "plist": service["definition"],
        "domains": service["domains"],
        "launchctl": host["launchctl"],
        "output_file": service["output_file"],
        "user": service["user"],
        "home": host["home"],
    }


def _digest(texts):
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
