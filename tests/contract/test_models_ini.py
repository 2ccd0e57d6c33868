# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The real llama-server understands ``models.ini`` as it was meant: every value, to the letter."""

import shutil

import pytest
from support.paths import REPOSITORY
from support.planned_server import plan_of, serving
from support.planning import option

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"

#: Names and values that look like grammar, beside those that are refused (tests/unit/controller/test_server_plan.py).
HOSTILE = {
    "default": {},
    "a.b_c-d": {"arguments": {"chat-template-kwargs": '{"k": "x;y # [z] = \\\\ \\" é"}'}},
    "Version": {"arguments": {"reverse-prompt": "[x] = 'y' \"z\" \\ é", "temp": 0.25, "jinja": False}},
    "empty": {"arguments": {"reverse-prompt": ""}, "aliases": ["nothing", "0"]},
    "flags": {"arguments": {"check-tensors": True}, "context_size": 64},
}


@pytest.fixture
def models(tmp_path):
    """The configuration of five models, of which two lie in a directory with an odd name."""
    directory = tmp_path / "x [y] = 'z' é"
    directory.mkdir()
    found = {}
    for number, (name, model) in enumerate(HOSTILE.items()):
        path = directory / f"{number} =.gguf"
        shutil.copy(SELFTEST, path)
        found[name] = {"path": str(path), **model}
    return found


def test_every_model_gets_what_was_meant_for_it(models, tmp_path, help_text):
    settings = {"default_model": "flags", "models_dir": str(tmp_path / "models = [é]")}
    plan = plan_of(models, tmp_path, settings, arguments={"seed": 7})
    with serving(plan, tmp_path) as server:
        offered = {model["id"]: model for model in server.models()}
        assert set(offered) == set(HOSTILE)
        for model in plan["models"]:
            words = offered[model["name"]]["status"]["args"]
            assert option(words, "--model") == model["dest"]
            assert option(words, "--threads") == "1" and option(words, "--seed") == "7"
        given = {name: offered[name]["status"]["args"] for name in offered}
        assert option(given["Version"], "--reverse-prompt") == HOSTILE["Version"]["arguments"]["reverse-prompt"]
        assert option(given["Version"], "--temperature") == "0.25" and "--no-jinja" in given["Version"]
        assert '"x\\u003by \\u0023 [z]' in option(given["a.b_c-d"], "--chat-template-kwargs")
        assert option(given["empty"], "--reverse-prompt") == ""
        assert sorted(offered["empty"]["aliases"]) == ["0", "nothing"]
        assert option(given["flags"], "--ctx-size") == "64" and "--check-tensors" in given["flags"]
        answered = server.complete("Hello", model="nothing", n_predict=1)
        assert answered["model"] == "empty"
        assert server.complete("Hello", model="a.b_c-d", n_predict=1)["model"] == "a.b_c-d"
