# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What `make demo` says at its end, and what `make demo-clean` does.

python3 playbooks/files/demo.py report DIRECTORY
python3 playbooks/files/demo.py clean DIRECTORY
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.macos_setup.llm.plugins.module_utils import processes

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
    """End every process that was started from the directory, compilers included, and remove it."""
    below = str(directory) + os.sep
    pids = [process.pid for process in processes.find(lambda process: process.mentions(below))]
    pids = [pid for pid in pids if pid != os.getppid()]
    left = processes.end(pids, patience=20)
    if left:
        print(f"These processes do not end: {left}. {directory} was not removed.", file=sys.stderr)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 1 if directory.exists() else 0


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("report", "clean"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(arguments[1]).resolve()
    return {"report": report, "clean": clean}[arguments[0]](directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
