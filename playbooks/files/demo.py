# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The report of `make demo`, advice where it failed, and `make demo-clean`.

python3 playbooks/files/demo.py report DIRECTORY
python3 playbooks/files/demo.py advise DIRECTORY
python3 playbooks/files/demo.py clean DIRECTORY
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.macos_setup.llm.plugins.module_utils.base import files, processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import build
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall

#: What each model is asked: the real one what a small model does well, greedily and briefly.
QUESTIONS = {
    "smollm2": [
        "Write a Python function that checks if a number is even.",
        "--temperature",
        "0",
        "--max-tokens",
        "120",
    ],
    "selftest": ["What is the capital of France?"],
}


def report(directory):
    """Run the demo's commands and explain the result."""
    manager, llm = directory / "bin" / "llm-manager", directory / "bin" / "llm"
    config = json.loads((directory / "llm-workspace" / "tools" / "client.json").read_text(encoding="utf-8"))
    codes = [subprocess.run([manager, "status"], check=False).returncode]
    for model in config["models"]:
        words = [llm, "-m", model["name"], *QUESTIONS[model["name"]]]
        print("\n$ " + shlex.join(map(str, words)), flush=True)
        codes.append(subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode)
    models = "\n".join("               {name}: {description}".format(**model) for model in config["models"])
    print(
        "\nA llama.cpp server built from source runs under supervisor.\n"
        "OpenAI API:    {}/v1    (key: {})\n"
        "Models:\n{}\n"
        "               The questions that the self-test model knows: {}\n"
        "Log:           {}\n"
        "Try:           {} 'Explain recursion in one sentence.'\n"
        "               {} -m selftest 'What is 7 times 8?'\n"
        "               {} status\n"
        "Clean up:      make demo-clean    (stops the server and removes {})\n"
        "Install:       edit config/llm_config.json, then run make install".format(
            config["server"]["url"],
            config["server"]["api_key_file"],
            models,
            config["selftest"]["answers"],
            config["service"]["log"],
            llm,
            llm,
            manager,
            directory,
        )
    )
    return max(codes)


def advise(directory):
    """Name the demo that needs no package index, where the play has failed before it had all models."""
    made = Manifest(str(directory / "llm-workspace" / "manifest.json")).entries()
    models = [Path(path) for path, entry in made.items() if entry["kind"] == "model"]
    if not all(model.exists() for model in models):
        print(
            "The demo's models could not be installed. If the package index does not have the model: "
            "make demo MODEL=selftest",
            file=sys.stderr,
        )
    return 0


def clean(directory):
    """Stop the compile and the service of the demo and remove its files; other files stay."""
    workspace = directory / "llm-workspace"
    try:
        end_build(workspace / "engine" / "build" / build.LOCK)
        removal = Uninstall(Manifest(str(workspace / "manifest.json")), purge_models=True)
        removal.run()
    except LlamaCppError as error:
        print(error, file=sys.stderr)
        return 1
    with contextlib.suppress(OSError):  # not there, or not empty
        directory.rmdir()
    if directory.exists():
        print(f"{directory} was kept: it contains files that the demo did not create.")
    return 0


def end_build(lock):
    """End the process that holds the lock of a build, and its children, but no other process.

    Raises LlamaCppError when compilers that outlived it continue.
    """
    builder = files.lock_owner(str(lock))
    if builder:
        processes.end(sorted(processes.family(builder)), patience=20)
    if lock.exists():
        with files.exclusive(str(lock)):
            pass


def main(arguments):
    actions = {"report": report, "advise": advise, "clean": clean}
    if len(arguments) != 2 or arguments[0] not in actions:
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[1]).resolve()
    return actions[arguments[0]](directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
