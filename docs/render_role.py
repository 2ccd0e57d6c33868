# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes the README of each role from its argument specification.

python3 docs/render_role.py
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"

HEAD = """<!-- Written by docs/render_role.py from meta/argument_specs.yml; change that file instead. -->
# Role `macos_setup.llm.{role}`

{description}

{use}
| variable | type | default | meaning |
|---|---|---|---|
"""

USE = {
    "llama_cpp": """```yaml
- hosts: macs
  gather_facts: false
  roles:
    - role: macos_setup.llm.llama_cpp
      vars:
        llama_cpp_config_file: "{{ playbook_dir }}/llm_config.json"
```

Run the role as the user who will own the server, without `become`. Check and diff mode also work on a bare host. Hosts
need Python 3.9 or newer, and a C++ compiler to compile llama.cpp (`engine.source` `git`, `pypi` or `archive`). The
controller needs ansible-core 2.19 or newer and the Python package jsonschema.
""",
    "llama_cpp_gateway": """```yaml
- hosts: llm_gateways
  gather_facts: false
  roles:
    - role: macos_setup.llm.llama_cpp_gateway
```

`playbooks/gateway.yml` sets up hosts and gateway; `playbooks/fleet.yml` changes the hosts one after another. Linux with
systemd is the recommended place for a gateway. There the role needs root for its tasks, through `become`. The host
needs Python 3.9 or newer and HAProxy 2.6 or newer, which the role installs with apt or Homebrew. The controller needs
ansible-core 2.19 or newer and the Python package jsonschema.
""",
    "llama_cpp_rpc_worker": """```yaml
- hosts: llm_rpc_workers
  gather_facts: false
  roles:
    - role: macos_setup.llm.llama_cpp_rpc_worker
      vars:
        llama_cpp_rpc_worker_network: 10.13.0.0/30
```

`playbooks/rpc.yml` sets up workers and head. Run the role as the user who will own the worker, without `become`; the
host needs what the role `llama_cpp` needs to install the engine.
""",
}


def render(role):
    """The README of ``role`` as text."""
    specification = ROLES / role / "meta" / "argument_specs.yml"
    spec = yaml.safe_load(specification.read_text(encoding="utf-8"))["argument_specs"]["main"]
    rows = [
        "| `{}` | {} | {} | {} |\n".format(
            name,
            option["type"],
            "`{}`".format(_default(option["default"])) if "default" in option else "",
            _markdown(option["description"]),
        )
        for name, option in spec["options"].items()
    ]
    description = "\n\n".join(map(_markdown, spec["description"]))
    return HEAD.format(role=role, description=description, use=USE[role]) + "".join(rows)


def _default(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def _markdown(text):
    return re.sub(r"C\(([^)]*(?:\([^)]*\)[^)]*)*)\)", r"`\1`", " ".join(text.split()))


if __name__ == "__main__":
    for name in USE:
        (ROLES / name / "README.md").write_text(render(name), encoding="utf-8")
