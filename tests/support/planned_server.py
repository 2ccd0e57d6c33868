# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The real llama-server, started with the very arguments and ``models.ini`` that the plan of a configuration has."""

import contextlib
import os
import subprocess

from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.temporary_server import LISTENING
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.client import LlamaServer

from support.built_engine import require_server
from support.planning import resolve
from support.service_plan import render

PATIENCE = 60


def plan_of(models, directory, settings=None, **server):
    """The plan of ``models`` whose files have a ``path``; they are linked to where the plan wants them.

    :param settings: more for ``llm_settings``. :param server: what stands in ``server``; no key unless it says so.
    """
    settings = {"models_dir": str(directory / "models"), **(settings or {})}
    server = {"api_key": "none", **server, "arguments": {"threads": 1, **server.get("arguments", {})}}
    plan = resolve({"models": models, "llm_settings": settings, "server": server})
    for file in (file for model in plan["models"] for file in (model, *model["companions"])):
        os.makedirs(os.path.dirname(file["dest"]), exist_ok=True)
        os.symlink(file["source"]["path"], file["dest"])
    return plan


def command(plan, directory):
    """The words that start the server of ``plan``. Its ``models.ini``, if it has one, is written into ``directory``.

    An address behind them wins over the plan's.
    """
    words = list(plan["server"]["arguments"])
    if plan["server"]["presets"]:
        presets = directory / "models.ini"
        presets.write_text(render("models.ini.j2", plan, "Managed by [x] = ; # 'y'\nA second line."), encoding="utf-8")
        words[words.index("--models-preset") + 1] = str(presets)
    return [str(require_server()), *words]


@contextlib.contextmanager
def serving(plan, directory):
    """Lends the LlamaServer of ``plan``, at a port of its own, once it listens; ends it with the block."""
    words, log = [*command(plan, directory), "--port", "0"], directory / "server.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with open(log, "wb") as stream:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment)
    try:
        assert wait_until(lambda: LISTENING.search(log.read_text()) or process.poll() is not None, PATIENCE)
        found = LISTENING.search(log.read_text())
        assert found, log.read_text()
        yield LlamaServer(f"http://127.0.0.1:{found[1]}", timeout=PATIENCE)
    finally:
        process.terminate()
        process.wait(PATIENCE)
