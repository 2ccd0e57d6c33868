# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The files that a model needs beside its own: a projector, a draft model, LoRA adapters."""

from __future__ import annotations

SOURCES = ("url", "huggingface", "path")


def of(model):
    """Pairs of the place below a configured model, such as ``("lora", 0)``, and what is configured there."""
    for role in ("mmproj", "draft_model"):
        if role in model:
            yield (role,), model[role]
    for index, adapter in enumerate(model.get("lora", ())):
        yield ("lora", index), adapter


def options(model):
    """The llama-server options, as pairs, for the companions of a planned model. Raises ValueError, with the path that
    no option can carry.

    A draft model alone is loaded and not used (llama.cpp 0c1e570, ``common_speculative_init``): its type goes with it.
    """
    found = []
    for companion in model["companions"]:
        if companion["role"] == "mmproj":
            found.append(("mmproj", companion["dest"]))
        elif companion["role"] == "draft_model":
            found += [("spec-draft-model", companion["dest"]), ("spec-type", companion["type"])]
    adapters = [companion for companion in model["companions"] if companion["role"] == "lora"]
    plain = [_field(adapter["dest"]) for adapter in adapters if adapter["scale"] == 1]
    scaled = [_field(_scaled(adapter)) for adapter in adapters if adapter["scale"] != 1]
    return [*found, ("lora", ",".join(plain) or None), ("lora-scaled", ",".join(scaled) or None)]


def _scaled(adapter):
    if ":" in adapter["dest"]:
        raise ValueError(adapter["dest"])
    return f"{adapter['dest']}:{adapter['scale']}"


def _field(text):
    """``text`` as one field of a list with commas (``parse_csv_row`` in llama.cpp's common/arg.cpp)."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"') else text
