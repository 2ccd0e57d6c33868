# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Writes roles/llama_cpp/README.md from the role's argument specification.

python3 docs/render_role.py
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROLE = Path(__file__).resolve().parents[1] / "roles" / "llama_cpp"
TARGET = ROLE / "README.md"

HEAD = """<!-- Written by docs/render_role.py from meta/argument_specs.yml; change that file instead. -->
# Role `macos_setup.llm.llama_cpp`

{description}

```yaml
- hosts: macs
  gather_facts: false
  roles:
    - role: macos_setup.llm.llama_cpp
      vars:
        llama_cpp_config_file: "{{{{ playbook_dir }}}}/llm_config.json"
```

Run the role as the user who will own the server, without `become`. Check and diff mode also work on a bare host. Hosts
need Python 3.9 or newer, and a C++ compiler to compile llama.cpp (`engine.source` `git`, `pypi` or `archive`). The
controller needs ansible-core 2.19 or newer and the Python package jsonschema.

| variable | type | default | meaning |
|---|---|---|---|
"""


def render():
    """The README as text."""
    spec = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]
    rows = [
        "| `{}` | {} | {} | {} |\n".format(
            name,
            option["type"],
            "`{}`".format(_default(option["default"])) if "default" in option else "",
            _markdown(option["description"]),
        )
        for name, option in spec["options"].items()
    ]
    return HEAD.format(description="\n\n".join(map(_markdown, spec["description"]))) + "".join(rows)


def _default(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def _markdown(text):
    return re.sub(r"C\(([^)]*(?:\([^)]*\)[^)]*)*)\)", r"`\1`", " ".join(text.split()))


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
