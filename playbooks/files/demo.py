# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The report of `make demo`, and `make demo-clean`.

python3 playbooks/files/demo.py report DIRECTORY
python3 playbooks/files/demo.py clean DIRECTORY
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.macos_setup.llm.plugins.module_utils.base import files, processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import build
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.uninstall import Uninstall

QUESTION = "What is the capital of France?"


def report(directory):
    """Run the demo's commands and explain the result."""
    manager, llm = directory / "bin" / "llm-manager", directory / "bin" / "llm"
    config = json.loads((directory / "llm-workspace" / "tools" / "client.json").read_text(encoding="utf-8"))
    status = subprocess.run([manager, "status"], check=False)
    print(f"\n$ {llm} {QUESTION!r}", flush=True)
    answer = subprocess.run([llm, QUESTION], check=False)
    print(
        "\nA llama.cpp server built from source runs under supervisor at {} and serves the model "
        "{},\nwhich is tiny and knows only the answers of the self-test: {}\n"
        "Log:           {}\n"
        "Try:           {} 'What is 7 times 8?'\n"
        "               {} status\n"
        "Clean up:      make demo-clean    (stops the server and removes {})\n"
        "Install:       edit config/llm_config.json, then run make install".format(
            config["server"]["url"],
            config["server"]["model"],
            config["selftest"]["answers"],
            config["service"]["log"],
            llm,
            manager,
            directory,
        )
    )
    return status.returncode or answer.returncode


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
    if len(arguments) != 2 or arguments[0] not in ("report", "clean"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[1]).resolve()
    return {"report": report, "clean": clean}[arguments[0]](directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
