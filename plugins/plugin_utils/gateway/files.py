# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the role writes onto the host of a gateway, and what its service manager runs, as options of the modules."""

from __future__ import annotations

import hashlib
import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.haproxy import UNIT
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway import places
from ansible_collections.macos_setup.llm.plugins.plugin_utils.gateway.plan import configuration, key_map, lua
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import commands
from ansible_collections.macos_setup.llm.plugins.plugin_utils.rendering import SCRIPT, render
from ansible_collections.macos_setup.llm.plugins.plugin_utils.role_files import DIRECTORY, read

SECRET = {"mode": "0600"}


def complete(plan, hosts_key, daemons_dir, launchctl):
    """``plan`` with its file set, its job, and what HAProxy is asked after a change; no secret is in it."""
    plan = {**plan, "service": places.service(plan)}
    plan["service"]["placeholders"] = {"fingerprint": fingerprint_of(plan)}
    text, fingerprint = configuration(plan, hosts_key)
    paths = plan["paths"]
    return {
        **plan,
        "file_set": _whole_file_set(plan, text),
        "requirements": read("requirements/supervisor.txt"),
        "job": _job(plan, daemons_dir, launchctl),
        "reload": {
            "admin_socket": paths["admin_socket"],
            "master_socket": paths["master_socket"],
            "fingerprint": fingerprint,
            "unit": plan["service"]["placeholders"]["fingerprint"] if plan["manager"] == "systemd" else None,
        },
    }


def fingerprint_of(plan):
    """The fingerprint of what starts HAProxy, which is in its environment: by it a play sees that an earlier one ended
    between the file and the restart.
    """
    blank = {**plan, "service": {**plan["service"], "placeholders": {"fingerprint": ""}}}
    return hashlib.sha256(_start(blank)[1].encode()).hexdigest()


def _start(plan):
    """(path, text) of what starts HAProxy: its unit, or what the other managers run."""
    if plan["manager"] == "systemd":
        return plan["paths"]["unit"], render("llama-cpp-gateway.service.j2", plan=plan, name=UNIT)
    return plan["paths"]["launcher"], render("llama-cpp-gateway.sh.j2", plan=plan)


def needed_file_set(plan, hosts_key):
    """The file set of what the configuration names; the key of the hosts, the only secret, is in it."""
    paths = plan["paths"]
    key = {"dest": paths["key_map"], "content": key_map(plan, hosts_key), **SECRET}
    return _file_set(plan, [key, {"dest": paths["lua"], "content": lua()}])


def _file_set(plan, files, directories=(), trees=()):
    paths = plan["paths"]
    own = [{"path": paths["install_dir"], "mode": "0700" if plan["as_root"] else "u+rwx", "kind": "directory"}]
    if not plan["as_root"]:
        own += [
            {"path": paths["logs_dir"], "mode": "u+rwx", "kind": "directory"},
            {"path": paths["run_dir"], "mode": "0700", "kind": "tree"},
        ]
    logs = [] if plan["as_root"] else [plan["service"]["output_file"], plan["service"]["supervisord_log"]]
    return {
        "manifest": paths["manifest"],
        "directories": [*own, *directories],
        "files": files,
        "trees": list(trees),
        "claims": dict.fromkeys(logs, "log"),
    }


def _whole_file_set(plan, text):
    """The configuration ``text``, what runs HAProxy with it, and the command that sums up its log."""
    paths = plan["paths"]
    check = [plan["haproxy"], "-c", "-q", "-f"]
    files = [{"dest": paths["configuration"], "content": text, "validate": check, **SECRET}]
    path, start = _start(plan)
    if plan["manager"] == "systemd":
        files.append({"dest": path, "content": start})
    else:
        files.append({"dest": path, "content": start, **SCRIPT})
    files.append({"dest": paths["client_config"], "content": render("gateway-client.json.j2", plan=plan)})
    files.append(commands.launcher(paths, commands.MANAGER, plan["python"], commands.MANAGER))
    tree = {"src": str(DIRECTORY / "llm_tools"), "dest": posixpath.join(paths["tools_dir"], "lib")}
    return _file_set(plan, files, [{"path": paths["tools_dir"]}, {"path": paths["bin_dir"]}], [tree])


def _job(plan, daemons_dir, launchctl):
    service = plan["service"]
    common = {"manifest": plan["paths"]["manifest"], "state": "started", "settle": service["start_seconds"]}
    if plan["manager"] == "supervisor":
        return {
            **common,
            "name": service["program"],
            "config": service["definition"],
            "supervisord": posixpath.join(service["environment_dir"], "bin", "supervisord"),
            "content": render("supervisord.conf.j2", plan=plan),
            "log_file": service["output_file"],
        }
    if plan["manager"] == "launchd":
        return {
            **common,
            "label": service["name"],
            "plist": posixpath.join(daemons_dir, service["name"] + ".plist"),
            "content": render("com.llama.gateway.plist.j2", plan=plan),
            "domains": ["system"],
            "launchctl": launchctl,
            "output_file": service["output_file"],
            "user": service["user"],
            "home": plan["host"]["home"],
        }
    return {"name": service["program"] + ".service"}
