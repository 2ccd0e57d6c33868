# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager verify``: whether the model files are still those that were installed."""

from __future__ import annotations

import os

from ..arguments import add_json
from ..core.base.errors import LlamaCppError
from ..core.base.files import sha256_of
from ..core.base.progress import byte_counter, describe
from ..core.models.gguf import GgufError, check
from ..core.models.kinds import require
from ..core.models.shards import shards_of
from ..core.models.verification import VerificationRecord
from ..exit_codes import ExitCode

SUMMARY = "Compare all model files, including shards, projectors and adapters, with their recorded SHA-256."
EXAMPLES = ("%(prog)s verify", "%(prog)s verify --json")

REPAIR = "Nothing was changed. To download damaged files again, run the play with: -e llama_cpp_deep_verify=true"
NOT_COMPARED = "its header is valid, but there is no recorded SHA-256"
RECORD = "To record what they are, run the play with: -e llama_cpp_deep_verify=true"


def add_arguments(parser):
    add_json(parser, "the result")


def run(environment, arguments):
    shards = [(file, shard) for file in environment.config.get("files") or () for shard in shards_of(file)]
    results = []
    for number, (file, shard) in enumerate(shards):
        progress = Shown(environment, f"{name_of(file, shard)} (file {number + 1} of {len(shards)})")
        results.append(examine(file, shard, progress))
        if not arguments.json:
            environment.write(told(results[-1]))
    environment.status("")
    if arguments.json:
        environment.write_json({"files": results})
    wrong, unknown = (
        ", ".join(result["name"] for result in results if result["state"] == state) for state in ("wrong", "unknown")
    )
    if wrong:
        raise LlamaCppError(f"{wrong}: not the installed file. {REPAIR}")
    if unknown:
        raise LlamaCppError(f"{unknown}: not verified, since there is nothing to compare with. {RECORD}")
    return ExitCode.SUCCESS


def name_of(file, shard):
    """The name of a file: its models, and the number of the shard."""
    return file["name"] + (f", shard {shard.number + 1} of {shard.count}" if shard.count > 1 else "")


def told(result):
    reason = f": {result['reason']}" if result["reason"] else ""
    return f"{result['name']}: {result['state']}{reason} ({result['path']})\n"


def examine(file, shard, progress):
    """The ``state`` of one file (right, wrong or unknown) and the ``reason``."""
    path = shard.path
    result = {"name": name_of(file, shard), "path": path, "sha256": None}
    result["expected"] = VerificationRecord(path)["sha256"] or shard.sha256
    try:
        require(path, check(path), file["kind"], shard.number, shard.count)
        size = os.path.getsize(path)
        if shard.bytes not in (None, size):
            return {**result, "state": "wrong", "reason": f"it has {size} bytes, expected {shard.bytes}"}
        result["sha256"] = sha256_of(path, byte_counter(progress, "reading", size))
    except GgufError as error:
        return {**result, "state": "wrong", "reason": error.reason}
    except OSError as error:
        return {**result, "state": "wrong", "reason": f"cannot be read: {error.strerror}"}
    if result["expected"] is None:
        return {**result, "state": "unknown", "reason": NOT_COMPARED}
    if result["sha256"] != result["expected"]:
        damage = "damaged: sha256 {sha256}, expected {expected}".format(**result)
        return {**result, "state": "wrong", "reason": damage}
    return {**result, "state": "right", "reason": None}


class Shown:
    """Stands where a :class:`~.core.progress.Progress` is wanted: shows it on the terminal."""

    def __init__(self, environment, subject):
        self._environment, self._subject = environment, subject

    def update(self, stage, done, total, unit):
        state = {"subject": self._subject, "stage": stage, "done": done, "total": total, "unit": unit}
        self._environment.status(describe(state))
