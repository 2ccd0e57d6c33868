# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan that a configuration makes on a host, for tests of what stands in it."""

import json

from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan

from support.paths import REPOSITORY

SCHEMA = load.load_schema()
CATALOG = json.loads((REPOSITORY / "config" / "model_catalog.json").read_text())["models"]
PINS = json.loads((REPOSITORY / "config" / "engine_pins.json").read_text())
MODEL = {"url": "https://models.example/dir/tiny.gguf?download=true"}

MAC = {"system": "Darwin", "architecture": "arm64", "home": "/Users/sam", "user": "sam", "uid": 501}
MAC["launchctl"] = "/bin/launchctl"
LINUX = {"system": "Linux", "architecture": "x86_64", "home": "/home/sam", "user": "sam", "uid": 1000}


def resolve(config=None, host=LINUX):
    """The plan of ``config``, which has one model unless it names others."""
    checked = rules.checked({"models": {"tiny": MODEL}, **(config or {})}, SCHEMA, CATALOG, "test")
    return plan.resolve(checked, CATALOG, PINS, host)


def option(arguments, name):
    """The value behind the option ``name``."""
    return arguments[arguments.index(name) + 1]
