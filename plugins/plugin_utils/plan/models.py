# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan's models: where each file lies, where it comes from, and what is known of it."""

from __future__ import annotations

import posixpath

from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import part_names
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.sources import FILE_SOURCES, auxiliary_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded

#: What is to be known of a file to have it in its place, and what a companion must be by its header.
FILE_KEYS = ("path", "url", "huggingface", "source_path", "bytes", "sha256", "parts", "mirrors", "locked_by")
KINDS = {"mmproj": "mmproj", "draft_model": "model", "lora": "adapter"}


def model(name, model, catalog, paths, host, held):
    """What the plan says of one model of the configuration.

    :param held: gives what the lock file adds to a configured file.
    """
    entry = catalog.get(model.get("catalog"), {})
    sizes = {key: model.get(key, entry.get(key)) for key in ("bytes", "sha256")}
    plan = {
        "name": name,
        "path": posixpath.join(paths["models_dir"], rules.filename_of(model, catalog)),
        "purpose": model.get("purpose") or entry.get("purpose") or "chat",
        "aliases": model["aliases"],
        "companions": [
            {"role": place[0], **_companion(companion, paths, host), **held(companion)}
            for place, companion in auxiliary_files(model)
        ],
        "description": model.get("description") or entry.get("description") or "",
        "license": rules.licence_of(model, catalog),
        "context_size": model.get("context_size"),
        "arguments": model["arguments"],
        "bundled": entry.get("bundled"),
        "mirrors": model["mirrors"],
        **{key: value for key, value in sizes.items() if value is not None},
        **({"parts": model["parts"]} if "parts" in model else {}),
    }
    if any(source in model for source in FILE_SOURCES):
        plan.update(_source(model, host))
    elif entry.get("bundled"):
        plan["source_path"] = posixpath.join(paths["selftest_dir"], posixpath.basename(entry["bundled"]))
    else:
        plan["huggingface"] = {
            "repo": entry["repo"],
            "file": entry["file"],
            "revision": entry.get("revision", "main"),
        }
    return {**plan, **held(model)}


def _source(file, host):
    """Where a configured file comes from, as the module that fetches it wants to know."""
    if "path" in file:
        return {"source_path": expanded(file["path"], host)}
    return {key: file[key] for key in ("url", "huggingface") if key in file}


def _companion(companion, paths, host):
    kept = {key: companion[key] for key in ("bytes", "sha256", "type", "scale") if key in companion}
    path = posixpath.join(paths["models_dir"], rules.filename_of(companion, {}))
    return {"path": path, **kept, **_source(companion, host)}


def files(model):
    """Pairs of a name for messages and a file to have: the model's own and those beside it."""
    kind = "reranker" if model["purpose"] == "rerank" else "model"
    yield model["name"], {"kind": kind, **{key: model[key] for key in FILE_KEYS if key in model}}
    for companion in model["companions"]:
        name = f"{model['name']} ({companion['role']})"
        kind = KINDS[companion["role"]]
        yield name, {"kind": kind, **{key: companion[key] for key in FILE_KEYS if key in companion}}


def files_on_disk(files):
    """Every file of the planned ``files`` by itself: those of a set one by one, what several models share once.

    ``names``     the names, for messages, of all that need it
    ``path``      where it lies
    ``part``      its number, from 0, among how many files of one model
    ``kind``      what it must be by its header
    ``bytes`` ``sha256``   as far as they are known
    ``download``  whether it comes over the network
    """
    found = {}
    for file in files:
        paths = part_names(file["path"])
        known = file.get("parts") or ([file] if len(paths) == 1 else [{}] * len(paths))
        for number, (path, facts) in enumerate(zip(paths, known)):
            entry = {
                "names": [],
                "path": path,
                "part": [number, len(paths)],
                "kind": file["kind"],
                "bytes": facts.get("bytes"),
                "sha256": facts.get("sha256"),
                "download": "source_path" not in file,
            }
            found.setdefault(path, entry)["names"].append(file["name"])
    return list(found.values())


def absent(config, catalog, paths):
    return [
        {"name": name, "path": posixpath.join(paths["models_dir"], rules.filename_of(model, catalog))}
        for name, model in config["models"].items()
        if model["state"] == "absent"
    ]
