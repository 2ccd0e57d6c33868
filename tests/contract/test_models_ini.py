# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The real llama-server understands ``models.ini`` as it was meant: every value, to the letter."""

import os
import re
import shutil
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.llama_api import LlamaServer
from ansible_collections.macos_setup.llm.plugins.module_utils.waiting import wait_until
from support.paths import REPOSITORY
from support.planning import option, resolve
from support.service_plan import render

SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"
LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")

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


def started(plan, directory):
    """A router for ``plan`` at a port of its own: the process and its log."""
    presets, log = directory / "models.ini", directory / "log"
    presets.write_text(render("models.ini.j2", plan, "Managed by [x] = ; # 'y'\nA second line."), encoding="utf-8")
    words = list(plan["server"]["arguments"])
    words[words.index("--models-preset") + 1] = str(presets)
    words[words.index("--port") + 1] = "0"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with open(log, "wb") as stream:
        command = [os.environ["LLAMA_SERVER"], *words]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment), log


def test_every_model_gets_what_was_meant_for_it(models, tmp_path, help_text):
    settings = {"default_model": "flags", "models_dir": str(tmp_path / "models = [é]")}
    shared = {"arguments": {"threads": 1, "seed": 7}, "api_key": "none"}
    plan = resolve({"models": models, "llm_settings": settings, "server": shared})
    (tmp_path / "models = [é]").mkdir()
    for model in plan["models"]:
        os.symlink(model["source_path"], model["path"])
    router, log = started(plan, tmp_path)
    try:
        assert wait_until(lambda: LISTENING.search(log.read_text()) or router.poll() is not None, 60)
        found = LISTENING.search(log.read_text())
        assert found, log.read_text()
        server = LlamaServer(found[1], timeout=60)
        offered = {model["id"]: model for model in server.models()}
        assert set(offered) == set(HOSTILE)
        for model in plan["models"]:
            words = offered[model["name"]]["status"]["args"]
            assert option(words, "--model") == model["path"]
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
    finally:
        router.terminate()
        router.wait(30)
