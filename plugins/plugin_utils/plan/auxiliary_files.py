# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The options of llama-server for the files that a model needs with its own: projector, draft model, LoRA adapters."""

from __future__ import annotations

from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import csv_row


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
    plain = [adapter["dest"] for adapter in adapters if adapter["scale"] == 1]
    scaled = [_scaled(adapter) for adapter in adapters if adapter["scale"] != 1]
    return [*found, ("lora", csv_row(plain) or None), ("lora-scaled", csv_row(scaled) or None)]


def _scaled(adapter):
    if ":" in adapter["dest"]:
        raise ValueError(adapter["dest"])
    return f"{adapter['dest']}:{adapter['scale']}"
