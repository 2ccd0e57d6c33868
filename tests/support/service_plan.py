# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A resolved plan as the service templates see it, and the templates rendered without Ansible."""

import copy
import os
import shlex
from pathlib import Path

import jinja2
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def service_plan(root, **service):
    """The part of a plan that tells of the service, with everything under the directory ``root``."""
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
            "domain": "gui/501",
            "auto_start": True,
            "fingerprint": "0123456789abcdef" * 4,
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
