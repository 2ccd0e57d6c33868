# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What `make demo` says at its end, and what `make demo-clean` does.

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
    """Ask the demo's own commands; their failure is ours."""
    manager, llm = directory / "bin" / "llm-manager", directory / "bin" / "llm"
    config = json.loads((directory / "llm-workspace" / "tools" / "client.json").read_text(encoding="utf-8"))
    status = subprocess.run([manager, "status"], check=False)
    print(f"\n$ {llm} {QUESTION!r}", flush=True)
    answer = subprocess.run([llm, QUESTION], check=False)
    print(
        "\nA llama.cpp server built from source runs under supervisor at {} and serves the model "
        "{},\nwhich is tiny and knows only the answers of the self-test: {}\n"
        "Its log:       {}\n"
        "Type next:     {} 'What is 7 times 8?'\n"
        "               {} status\n"
        "               make demo-clean    (stops it and removes {})\n"
        "The real thing: edit config/llm_config.json, then make install".format(
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
    """End the compile and the service of the demo and remove what it made; what somebody else put there stays."""
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
        print(f"{directory} stays: what is left in it was not made by the demo.")
    return 0


def end_build(lock):
    """End the process that has the lock of a build, and what it started. Nobody else is taken for it.

    Raises LlamaCppError when compilers that outlived it go on.
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
