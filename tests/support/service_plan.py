# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A resolved plan as the service templates see it, and the templates rendered without Ansible."""

import copy
import os
import shlex
from pathlib import Path

import jinja2
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from ansible_collections.macos_setup.llm.plugins.module_utils.service.host_values import session_of

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def service_plan(root, domain="gui/501", fingerprint="0123456789abcdef" * 4, **service):
    """The part of a plan that tells of the service, with everything under the directory ``root``.

    What the host fills in is there already: a fingerprint, and the session of ``domain``.
    """
    root = str(root)
    run_dir = os.path.join(root, "run")
    plan = {
        "service": {
            "manager": "supervisor",
            "name": "com.llama.server",
            "program": "llama-server",
            "launcher": os.path.join(root, "service", "llama-server.sh"),
            "scope": "user",
            "user": "llama",
            "auto_start": True,
            "placeholders": {"fingerprint": fingerprint, "session": session_of(domain)},
            "stop_seconds": 5,
            "start_seconds": 1,
            "throttle_seconds": 1,
            "output_file": os.path.join(root, "logs", "service.log"),
            "output_limit": {"bytes": 1_000_000, "kept_bytes": 500_000},
            "runner": {"rotation": {"max_bytes": 10_000_000, "keep": 5}},
            "run_dir": run_dir,
            "socket": os.path.join(run_dir, "supervisor.sock"),
            "pid_file": os.path.join(run_dir, "supervisord.pid"),
            "supervisord_log": os.path.join(root, "logs", "supervisord.log"),
            "stdout": {"bytes": 0, "backups": 0},
        },
        "server": {"log_file": os.path.join(root, "logs", "llama-server.log")},
        "paths": {
            "install_dir": root,
            "logs_dir": os.path.join(root, "logs"),
            "service_dir": os.path.join(root, "service"),
        },
        "host": {"home": root, "user": "llama"},
    }
    plan["service"].update(copy.deepcopy(service))
    return plan


def change(plan, domain=None, fingerprint=None, **service):
    """Change what :func:`service_plan` made."""
    plan["service"].update(service)
    filled = {"fingerprint": fingerprint, "session": domain and session_of(domain)}
    plan["service"]["placeholders"].update({name: text for name, text in filled.items() if text})


def render(template, plan, managed_by=MANAGED_BY, **variables):
    """The template's text, with the settings of jinja2 that Ansible's template action uses."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(TEMPLATES)),
        trim_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["quote"] = shlex.quote  # one of Ansible's own
    return environment.get_template(template).render(plan=plan, managed_by=managed_by, **variables)


def write_launcher(plan, script):
    """The launcher of ``plan`` as a /bin/sh script with the given body, and the directories that it needs."""
    for directory in (plan["service"]["run_dir"], plan["paths"]["logs_dir"], plan["paths"]["service_dir"]):
        os.makedirs(directory, exist_ok=True)
    launcher = Path(plan["service"]["launcher"])
    launcher.write_text("#!/bin/sh\n" + script + "\n", encoding="utf-8")
    launcher.chmod(0o755)
