# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm models``: the available models."""

from __future__ import annotations

from ..arguments import add_json
from ..exit_codes import ExitCode

SUMMARY = "List the available models."
EXAMPLES = ("%(prog)s models", "%(prog)s models --json")


def add_arguments(parser):
    add_json(parser, "the list")


def run(environment, arguments):
    served = environment.server().models()
    configured = [] if environment.elsewhere else environment.config.get("models") or []
    descriptions = {model["name"]: model.get("description") for model in configured}
    models = [row(model, descriptions) for model in served]
    if arguments.json:
        environment.write_json({"models": models})
    else:
        environment.write(table(models))
    return ExitCode.SUCCESS


def row(model, descriptions):
    """The properties of a model; None where the server reports nothing."""
    meta = model.get("meta") or {}
    names = (model["id"], *(model.get("aliases") or ()))
    name = next((name for name in names if name in descriptions), model["id"])
    return {
        "name": name,
        "aliases": sorted(set(names) - {name}),
        "state": (model.get("status") or {}).get("value", "loaded"),
        "context_size": meta.get("n_ctx"),
        "bytes": meta.get("size"),
        "description": descriptions.get(name),
    }


def table(models):
    """The rows in columns; the description, which may be long, comes last."""
    heading = ("NAME", "STATE", "CONTEXT", "MIB", "DESCRIPTION")
    cells = [heading]
    for model in models:
        mib = None if model["bytes"] is None else f"{model['bytes'] / 2**20:.0f}"
        values = (model["name"], model["state"], model["context_size"], mib, model["description"])
        cells.append(tuple("-" if value is None else str(value) for value in values))
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
    return "\n".join(lines) + "\n"
