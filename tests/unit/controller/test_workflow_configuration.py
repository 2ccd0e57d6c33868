# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The configuration that the macOS workflow installs is one that the collection takes, and means what it must there."""

import json

from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from support.paths import REPOSITORY

CONFIG = json.loads((REPOSITORY / ".ci" / "macos" / "llm_config.json").read_text(encoding="utf-8"))
CATALOG = json.loads((REPOSITORY / "config" / "model_catalog.json").read_text(encoding="utf-8"))["models"]
RUNNER = {"system": "Darwin", "architecture": "arm64", "home": "/Users/runner", "user": "runner", "uid": 501}


def test_metal_is_built_and_not_used():
    config = rules.checked(CONFIG, load.load_schema(), CATALOG, "macos.yml")
    resolved = plan.resolve(config, CATALOG, {}, RUNNER)
    assert resolved["engine"]["options"]["GGML_METAL"] == "ON"
    arguments = resolved["server"]["arguments"]
    assert arguments[arguments.index("--device") + 1] == "none"
    assert resolved["service"]["manager"] == "launchd" and resolved["service"]["scope"] == "system"
