# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What signs an address stands apart from the plan, so that nothing that is shown, stored or passed on has it."""

import json

from ansible_collections.macos_setup.llm.plugins.action import bundle, configure
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.of_host import of_host
from support.planning import LINUX

SECRET = "5ec2e7"
CONFIG = {
    "engine": {
        "source": "archive",
        "version": "b1",
        "url": f"https://e.example/a.zip?sig={SECRET}",
        "sha256": "0" * 64,
    },
    "models": {
        "tiny": {
            "url": f"https://m.example/tiny.gguf?sig={SECRET}",
            "mirrors": [f"https://n.example/?sig={SECRET}"],
            "sha256": "1" * 64,
            "lora": [{"url": f"https://m.example/lora.gguf?sig={SECRET}", "sha256": "2" * 64}],
        }
    },
}


def test_the_plan_has_addresses_and_the_queries_are_beside_it(tmp_path):
    file = tmp_path / "llm_config.json"
    file.write_text(json.dumps(CONFIG))
    action = object.__new__(configure.ActionModule)
    variables = {"config_file": str(file), "overrides": {}, "update_lock": False, "ready_timeout": 60}
    plan, queries = action._resolve(of_host(variables), variables, LINUX)
    assert SECRET not in json.dumps(plan)
    assert plan["models"][0]["source"]["url"] == "https://m.example/tiny.gguf"
    addresses = [
        "https://e.example/a.zip",
        "https://m.example/lora.gguf",
        "https://m.example/tiny.gguf",
        "https://n.example/",
    ]
    assert queries == dict.fromkeys(addresses, f"?sig={SECRET}")


def test_the_configuration_in_a_bundle_has_none(tmp_path):
    text = json.dumps(CONFIG)
    assert SECRET not in bundle._without_queries(text)
    assert json.loads(bundle._without_queries(text))["models"]["tiny"]["url"] == "https://m.example/tiny.gguf"
    plain = text.replace(f"?sig={SECRET}", "")
    assert bundle._without_queries(plain) == plain
