# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The server among the models of simonw/llm: only where that is wanted, and without the key."""

import pytest
import yaml
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan import simonw
from support.planning import LINUX, MAC, MODEL, resolve

MODELS = {
    "tiny": {**MODEL, "mmproj": {"url": "https://models.example/projector.gguf"}},
    "vectors": {"url": "https://models.example/vectors.gguf", "purpose": "embedding"},
}


def plan(wanted, host=MAC, **server):
    settings = {"default_model": "tiny"}
    return resolve({"models": MODELS, "llm_settings": settings, "client": wanted, "server": server}, host)


@pytest.mark.parametrize(
    "wanted, host, path",
    [
        (True, MAC, "/Users/sam/Library/Application Support/io.datasette.llm/extra-openai-models.yaml"),
        (True, LINUX, "/home/sam/.config/io.datasette.llm/extra-openai-models.yaml"),
        ("~/llm files", LINUX, "/home/sam/llm files/extra-openai-models.yaml"),
    ],
)
def test_chat_models_are_listed_by_the_name_of_the_key(wanted, host, path):
    ((found, items),) = plan({"register_with_llm": wanted}, host)["file_sets"]["tools"]["blocks"].items()
    assert found == path
    (item,) = yaml.safe_load(items)
    assert (item["model_id"], item["model_name"], item["vision"]) == ("llama-server/tiny", "tiny", True)
    assert (item["api_base"], item["api_key_name"]) == ("http://127.0.0.1:8080/v1", simonw.KEY)


def test_nothing_is_listed_unless_that_is_wanted():
    assert set(plan({})["file_sets"]["tools"]["blocks"].values()) == {""}


def test_it_is_offered_only_where_simonw_llm_is():
    assert simonw.notes(plan({}), None) == []
    (offer,) = simonw.notes(plan({}), "/opt/homebrew/bin/llm")
    assert "client.register_with_llm" in offer and "/opt/homebrew/bin/llm" in offer


def test_the_key_is_told_by_its_file():
    wanted = plan({"register_with_llm": True})
    (note,) = simonw.notes(wanted, "/opt/homebrew/bin/llm")
    assert f"/opt/homebrew/bin/llm keys set {simonw.KEY}" in note and wanted["server"]["key_file"] in note
    without = plan({"register_with_llm": True}, api_key="none")
    assert simonw.notes(without, None) == [] and "api_key_name" not in str(without["file_sets"]["tools"]["blocks"])
