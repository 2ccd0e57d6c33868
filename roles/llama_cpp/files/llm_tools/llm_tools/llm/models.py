# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm models``: what models there are, what each is for, and what it takes."""

from __future__ import annotations

import os

from ..arguments import add_json
from ..exit_codes import ExitCode

SUMMARY = "List the models: what each is for, whether it is loaded, and its size."
EXAMPLES = ("%(prog)s models", "%(prog)s models --json")


def add_arguments(parser):
    add_json(parser, "the list")


def run(environment, arguments):
    served = environment.server().models()
    configured = [] if environment.elsewhere else environment.config.get("models") or []
    models = rows(served, configured, environment)
    if arguments.json:
        environment.write_json({"models": models})
    else:
        environment.write(table(models))
    return ExitCode.SUCCESS


def rows(served, configured, environment):
    """The properties of each model that the server offers; None where neither it nor the configuration tells."""
    known = {model["name"]: model for model in configured}
    return [row(model, known, environment) for model in served]


def row(model, known, environment):
    meta = model.get("meta") or {}
    names = (model["id"], *(model.get("aliases") or ()))
    name = next((name for name in names if name in known), model["id"])
    own = known.get(name) or {}
    state = (model.get("status") or {}).get("value", "loaded")
    return {
        "name": name,
        "aliases": sorted(set(names) - {name}),
        "default": name == environment.default_model,
        "purpose": environment.purpose_of(name) if own else None,
        "state": state,
        "context_size": meta.get("n_ctx") or own.get("context_size"),
        "trained_context": meta.get("n_ctx_train"),
        "bytes": size_on_disk(own, environment) if own else None,
        "memory_bytes": meta.get("size") if state == "loaded" else None,
        "license": own.get("license"),
        "description": own.get("description"),
    }


def size_on_disk(model, environment):
    """Bytes of the files of a configured model, as far as they are there; None when none is."""
    files = [file for file in environment.config.get("files") or () if file["name"] == model["name"]]
    paths = [file["dest"] for file in files] or filter(None, [model.get("dest")])
    sizes = [os.path.getsize(path) for path in paths if os.path.isfile(path)]
    return sum(sizes) if sizes else None


def table(models):
    """The rows in columns; the description, which may be long, comes last. An asterisk marks the default."""
    heading = ("NAME", "PURPOSE", "STATE", "CONTEXT", "DISK", "MEMORY", "LICENSE", "DESCRIPTION")
    cells = [heading]
    for model in models:
        name = " ".join([model["name"], *(f"({alias})" for alias in model["aliases"])])
        values = (
            name + ("*" if model["default"] else ""),
            model["purpose"],
            model["state"],
            model["context_size"],
            size(model["bytes"]),
            size(model["memory_bytes"]),
            model["license"],
            model["description"],
        )
        cells.append(tuple("-" if value is None else str(value) for value in values))
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
    return "\n".join(lines) + "\n"


def size(count):
    """``1.1 GiB`` or ``636 MiB``; None for None."""
    if count is None:
        return None
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
