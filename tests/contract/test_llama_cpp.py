# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Every name that the collection uses of llama.cpp exists at the pinned commit."""

import json
import re

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import options
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, option_rules, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from support.paths import REPOSITORY

SCHEMA = load.load_schema()
PINS = json.loads((REPOSITORY / "config" / "engine_pins.json").read_text())
HOSTS = {
    "Darwin": {"system": "Darwin", "architecture": "arm64", "home": "/Users/sam", "user": "sam", "uid": 501},
    "Linux": {"system": "Linux", "architecture": "x86_64", "home": "/home/sam", "user": "sam", "uid": 1000},
}

#: A configuration that makes the plan use every option it can.
EVERYTHING = {
    "llm_settings": {"metal_acceleration": False},
    "models": {"tiny": {"url": "https://models.example/tiny.gguf", "context_size": 512}},
    "engine": {"rpc": True},
    "server": {
        "tls": {"certificate": "/c.pem", "private_key": "/k.pem"},
        "parallel": 2,
        "metrics": True,
        "idle_unload_seconds": 60,
    },
}


def working(help_text):
    return {name for name, option in options.known_options(help_text).items() if option.instead is None}


def resolved(system, **changes):
    config = rules.checked(load.merge(EVERYTHING, changes), SCHEMA, {}, "test")
    return plan.resolve(config, {}, PINS, HOSTS[system])


@pytest.mark.parametrize("system", HOSTS)
def test_every_cmake_option_exists(system, cmake_files):
    names = [*resolved(system)["engine"]["options"], "LLAMA_BUILD_NUMBER", "LLAMA_BUILD_COMMIT"]
    for name in names:
        if name.startswith("CMAKE_") or name == "BUILD_SHARED_LIBS":
            continue  # CMake's own
        declared = re.search(rf"(option|set|if)\s*\(\s*(NOT\s+DEFINED\s+)?{name}\b", cmake_files)
        assert declared, f"{name} is no option of llama.cpp any more"


def test_every_target_exists(cmake_files):
    for target in resolved("Linux")["engine"]["targets"]:
        assert re.search(rf"(set\(TARGET|add_executable\()\s*{re.escape(target)}\b", cmake_files), target


@pytest.mark.parametrize("system", HOSTS)
@pytest.mark.parametrize("web_ui", [{"url": "https://a.example/ui.tar.gz", "sha256": "a" * 64}, False])
def test_every_server_option_exists_with_its_value(system, web_ui, help_text, engine):
    arguments = resolved(system, engine={"web_ui": web_ui})["server"]["arguments"]
    known = working(help_text)
    used = {word for word in arguments if word.startswith("--")}
    assert {"--api-key-file", "--ssl-cert-file", "--metrics", "--sleep-idle-seconds", "--parallel"} <= used
    assert used <= known
    options.check(str(engine / "llama-server"), arguments)


def test_every_option_of_several_models_exists_with_its_value(help_text, engine):
    file = {"url": "https://models.example/a.gguf"}
    lora = [{"path": "/b.gguf"}, {"path": "/c.gguf", "scale": 2}]
    other = {
        "url": "https://models.example/other.gguf",
        "mmproj": file,
        "draft_model": {"path": "/d.gguf"},
        "lora": lora,
    }
    models = {"other": other, "vectors": {"path": "/e.gguf", "purpose": "embedding"}}
    models["order"] = {"path": "/f.gguf", "purpose": "rerank"}
    plan_ = resolved("Darwin", models=models, llm_settings={"default_model": "tiny"})
    used = {word for word in plan_["server"]["options"] if word.startswith("--")}
    wanted = {"--models-preset", "--models-max", "--mmproj", "--spec-draft-model", "--spec-type", "--lora"}
    assert wanted | {"--lora-scaled", "--embeddings", "--rerank", "--ctx-size", "--parallel"} <= used
    assert used <= working(help_text)
    options.check(str(engine / "llama-server"), plan_["server"]["options"])


def test_an_option_without_its_value_is_noticed(help_text):
    assert options.known_options(help_text)["--flash-attn"].value == "[on|off|auto]"
    assert options.known_options(help_text)["--jinja"].value == ""


def test_every_option_kept_from_the_owner_exists(help_text):
    known = working(help_text)
    assert {"--" + name for name in option_rules.OWNED_ARGUMENTS} <= known


def test_successors_are_current_and_what_they_replace_is_gone(help_text):
    known = options.known_options(help_text)
    for gone, successor in options.SUCCESSORS.items():
        assert gone not in known
        assert successor.split()[0] in working(help_text)
    assert "--spec-draft-n-max" in known["--draft-max"].instead


def test_the_default_engine_can_be_had_from_the_package_index(pin):
    commit, _entry = pin
    assert SCHEMA["properties"]["engine"]["properties"]["version"]["default"] == commit
