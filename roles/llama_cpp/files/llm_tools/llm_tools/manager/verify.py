# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager verify``: whether the models are still, byte for byte, what they were when they were put in place."""

from __future__ import annotations

import os

from ..arguments import add_json
from ..core.errors import LlamaCppError
from ..core.exit_codes import ExitCode
from ..core.files import sha256_of
from ..core.gguf import GgufError, check
from ..core.stamps import Stamp

SUMMARY = "Read every model file again and compare it with what was verified when it was put in place."
EXAMPLES = ("%(prog)s verify", "%(prog)s verify --json")

REPAIR = "Nothing was changed. To have what the play put there fetched anew: -e llama_cpp_deep_verify=true"


def add_arguments(parser):
    add_json(parser, "the result")


def run(environment, arguments):
    results = [examine(environment, model) for model in environment.config.get("models") or () if model.get("path")]
    environment.status("")
    if arguments.json:
        environment.write_json({"models": results})
    else:
        for result in results:
            environment.write(f"{result['name']}: {result['problem'] or 'right'} ({result['path']})\n")
    wrong = [result["name"] for result in results if result["problem"]]
    if wrong:
        raise LlamaCppError(f"{', '.join(wrong)}: not what was installed. {REPAIR}")
    return ExitCode.SUCCESS


def examine(environment, model):
    """What one file is, and what is wrong with it (None: nothing)."""
    path = model["path"]
    result = {"name": model["name"], "path": path, "sha256": None, "expected": Stamp(path)["sha256"], "problem": None}
    try:
        check(path)
        result["sha256"] = sha256_of(path, progress(environment, model["name"], os.path.getsize(path)))
    except GgufError as error:
        result["problem"] = error.reason
    except OSError as error:
        result["problem"] = f"cannot be read: {error.strerror}"
    if result["sha256"] and result["expected"] not in (None, result["sha256"]):
        result["problem"] = "damaged: sha256 {sha256}, expected {expected}".format(**result)
    return result


def progress(environment, name, size):
    """Shows on the terminal how much of a file is read."""
    done = 0

    def on_bytes(count):
        nonlocal done
        done += count
        environment.status(f"{name}: {100 * done // size} %")

    return on_bytes
