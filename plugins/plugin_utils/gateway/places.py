# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Where a gateway lies on its host, and under which service manager it runs.

Under systemd everything belongs to root, and HAProxy gives root up for its own user once it has read its files. Under
launchd and supervisor everything belongs to the user who runs the play, HAProxy included: Homebrew's is a program that
this user can write, which root must not run.
"""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import service as server_service
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded

#: Its name for systemd and supervisor, and for launchd.
NAME, LABEL = "llama-cpp-gateway", "com.llama.gateway"
USER_OF_PACKAGE = "haproxy"
OLDEST = (2, 6)

#: HAProxy first binds "<socket>.<its pid>.tmp", and then renames it.
LONGEST_SOCKET = "master.sock.4194304.tmp"

#: How often an access log of this size is put aside before the oldest is dropped; under systemd the journal does it.
#: Under launchd it is looked at this often.
STDOUT = {"bytes": 50_000_000, "backups": 5, "look_seconds": 60}

#: A Python that every Linux with systemd and every Mac with Homebrew has. Root runs no other.
PYTHON, JOURNALCTL = "/usr/bin/python3", "/usr/bin/journalctl"

STOP_SECONDS = 10


def place(variables, host, found):
    """Manager, programs and paths of a gateway.

    :param host: what host_facts() says.
    :param found: what the host has: ``haproxy``, a path or None; ``version``, text; ``systemd`` and ``apt``, whether it
        has them.
    :raises LlamaCppError: this host cannot have a gateway.
    """
    manager = _manager(variables["manager"], host, found)
    root = manager == "systemd"
    directory = f"/etc/{NAME}" if root else expanded(variables["directory"], host)
    run = f"/run/{NAME}" if root else server_service.socket_directory(directory, LONGEST_SOCKET)

    def below(*parts):
        return posixpath.join(directory, *parts)

    # The directory of the configuration is root's alone; the command is for all who may read the journal.
    tools_dir = f"/usr/local/lib/{NAME}" if root else below("tools")
    bin_dir = "/usr/local/bin" if root else below("bin")
    log = below("logs", "access.log")
    return {
        "manager": manager,
        "as_root": root,
        "haproxy": found["haproxy"] or _expected(host),
        "install": _install(variables, host, found),
        "user": USER_OF_PACKAGE if root else None,
        "host": host,
        "python": below("venv", "bin", "python") if manager == "supervisor" else PYTHON,
        "usage": {"unit": NAME + ".service", "journalctl": JOURNALCTL} if root else {"log": log},
        "paths": {
            "install_dir": directory,
            "run_dir": run,
            "logs_dir": below("logs"),
            "access_log": log,
            "tools_dir": tools_dir,
            "bin_dir": expanded(variables["bin_dir"], host) if variables["bin_dir"] else bin_dir,
            "client_config": posixpath.join(tools_dir, "client.json"),
            "configuration": below("haproxy.cfg"),
            "key_map": below("hosts-key.map"),
            "lua": below("streams.lua"),
            "launcher": below(NAME),
            "manifest": below("manifest.json"),
            "unit": posixpath.join(variables["systemd_dir"], NAME + ".service"),
            "admin_socket": posixpath.join(run, "admin.sock"),
            "master_socket": posixpath.join(run, "master.sock"),
            "peers_socket": posixpath.join(run, "peers.sock"),
        },
    }


def _manager(wanted, host, found):
    if wanted == "auto":
        if host["system"] == "Darwin":
            return "launchd"
        return "systemd" if found["systemd"] else "supervisor"
    if (wanted == "launchd") != (host["system"] == "Darwin") and wanted != "supervisor":
        raise LlamaCppError(
            f'  llama_cpp_gateway_manager: "{wanted}" does not exist on {host["system"]}; expected: "auto" or '
            '"supervisor".'
        )
    return wanted


def _expected(host):
    """Where the package that is going to be installed has its program."""
    if host["system"] != "Darwin":
        return "/usr/sbin/haproxy"
    return "/opt/homebrew/bin/haproxy" if host["architecture"] == "arm64" else "/usr/local/bin/haproxy"


def _install(variables, host, found):
    """What installs HAProxy, ``apt`` or ``homebrew``; None when it is there."""
    if found["haproxy"]:
        version = tuple(int(part) for part in found["version"].split(".")[:2] if part.isdigit())
        if version and version < OLDEST:
            raise LlamaCppError(
                f"  HAProxy {found['version']} is too old: the gateway needs 2.6 or newer. Install a newer one, for "
                "example from haproxy.debian.net, and run the play again."
            )
        return None
    if variables["install_packages"] and (host["system"] == "Darwin" or found["apt"]):
        return "homebrew" if host["system"] == "Darwin" else "apt"
    raise LlamaCppError(
        f"  HAProxy is missing, and the role installs it with apt and Homebrew only, if "
        f"llama_cpp_gateway_install_packages is true (system: {host['system']}). Install HAProxy 2.6 or newer with the "
        "system's own package manager, and run the play again."
    )


def service(place):
    """What the templates of a service know of it; under systemd only what HAProxy's unit needs."""
    paths, manager = place["paths"], place["manager"]
    run, logs = paths["run_dir"], paths["logs_dir"]
    return {
        "manager": manager,
        "scope": "system",
        "name": LABEL,
        "program": NAME,
        "user": place["host"]["user"],
        "launcher": paths["launcher"],
        "auto_start": True,
        "run_dir": run,
        "socket": posixpath.join(run, server_service.SOCKET),
        "pid_file": posixpath.join(run, "supervisord.pid"),
        "supervisord_log": posixpath.join(logs, "supervisord.log"),
        "output_file": paths["access_log"],
        "output_limit": {"bytes": STDOUT["bytes"], "kept_bytes": STDOUT["bytes"] // 2},
        "stdout": STDOUT,
        "start_seconds": server_service.START_SECONDS,
        "stop_seconds": STOP_SECONDS,
        "throttle_seconds": server_service.THROTTLE_SECONDS,
        "environment_dir": posixpath.join(paths["install_dir"], "venv"),
        "definition": posixpath.join(paths["install_dir"], "supervisord.conf"),
    }
