# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What is asked of the module gguf_model for one model: which files, what each must be, and where it comes from."""

from __future__ import annotations

import os
import re

from ..base.addresses import joined
from ..base.errors import LlamaCppError
from ..base.progress import Progress
from ..llama.api_keys import secret_of_environment, secret_of_file
from ..net.disk_space import DiskRoom
from ..net.http import Web
from ..net.seed import Seed
from ..ownership.manifest import Manifest
from ..ownership.private_files import refuse_exposed
from .huggingface import ENDPOINT, Location
from .install import ModelFile
from .shards import ModelSet, SharedProgress, part_name, part_names
from .source import WebSource
from .verification import Stamp


def fulfil(wanted, check_only, bundle=None):
    """Bring about what the options ``wanted`` ask for, or say it; what the module returns.

    :param bundle: the Bundle that has the files, or None.
    """
    _require_sound(wanted)
    places = part_names(wanted["dest"])
    progress = Progress(wanted["progress_file"], wanted["name"])
    shared = SharedProgress(progress, len(places))
    several, room = len(places) > 1, DiskRoom()
    files = [
        ModelFile(
            wanted["name"],
            place,
            sha256=expected["sha256"],
            size=expected["bytes"],
            kind=wanted["kind"],
            part=(number, len(places)),
            require_checksum=wanted["require_checksum"],
            deep_verify=wanted["deep_verify"],
            renew=wanted["renew"] and not expected["sha256"],
            check_only=check_only,
            progress=shared.share(number) if several else progress,
            room=room,
        )
        for number, (place, expected) in enumerate(zip(places, _expectations(wanted, places)))
    ]
    model = ModelSet(wanted["name"], files, shared) if several else files[0]
    if wanted["state"] == "absent":
        return model.absent()
    if not check_only:
        directory = Stamp(wanted["dest"]).directory
        # The stamps of other models may lie there, of another installation, too.
        new = {} if os.path.lexists(directory) else {directory: "tree"}
        Manifest(wanted["manifest"]).note({**dict.fromkeys(places, "model"), **new})
    if bundle and _has_all(bundle, wanted, places):
        results = [file.from_bundle(bundle) for file in files]
        return {**results[0], "changed": any(result["changed"] for result in results)}
    if wanted["path"]:
        targets = [part_name(wanted["path"], number + 1) for number in range(len(files))]
        return model.linked_to(targets if several else wanted["path"])
    sources = [_source(wanted, number + 1) for number in range(len(files))]
    return model.from_web(sources if several else sources[0])


def _require_sound(wanted):
    for option in ("dest", "path"):
        if wanted[option] and not os.path.isabs(wanted[option]):
            words = "%s of model %s is not an absolute path: '%s'."
            raise LlamaCppError(words % (option, wanted["name"], wanted[option]))
    if wanted["timeout"] <= 0:
        words = "timeout of model %s is %s; more than 0 seconds are needed."
        raise LlamaCppError(words % (wanted["name"], wanted["timeout"]))


def _expectations(wanted, places):
    """The expected sha256 and bytes of the file in each of ``places``."""
    name, count = wanted["name"], len(places)
    given = wanted["parts"]
    if not given:
        given = [{"sha256": wanted["sha256"], "bytes": wanted["bytes"]}]
        if count > 1:
            if wanted["sha256"] or wanted["bytes"]:
                raise LlamaCppError(
                    "Model %s is spread over %d files, and sha256 or bytes can be that of one only. "
                    "Give those of each file in parts." % (name, count)
                )
            given = given * count
    if len(given) != count:
        raise LlamaCppError(
            "parts of model %s are %d; by its name it has %d files: %s."
            % (name, len(given), count, os.path.basename(wanted["dest"]))
        )
    digits = [part["sha256"].lower() if part["sha256"] else None for part in given]
    for sha256 in digits:
        if sha256 and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise LlamaCppError("sha256 of model %s is not 64 hexadecimal digits: '%s'." % (name, sha256))
    return [{"sha256": sha256, "bytes": part["bytes"]} for sha256, part in zip(digits, given)]


def _has_all(bundle, wanted, places):
    """Whether ``bundle`` has the files of all ``places``, and none of them comes with the collection."""
    if wanted["path"] and os.path.exists(wanted["path"]):
        return False
    return all(os.path.basename(place) in bundle.facts["models"] for place in places)


def _source(wanted, number):
    """Where file ``number`` (from 1) of the model comes from, as a WebSource."""
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    seed = Seed(**wanted["seed"]) if wanted["seed"] else None
    web = Web(
        neighbour=seed and seed.url,
        token=_token(wanted["token_file"]),
        token_origin=endpoint,
        allow_plain_http=wanted["allow_plain_http"],
        timeout=wanted["timeout"],
    )
    url = wanted["url"] or Location(**wanted["huggingface"]).url(endpoint)
    url, *mirrors = (part_name(joined(address, wanted["queries"]), number) for address in (url, *wanted["mirrors"]))
    return WebSource(url, web, endpoint=endpoint, mirrors=mirrors, seed=seed, stall_seconds=wanted["timeout"])


def _token(path):
    """The Hugging Face token from a file or the environment, or None."""
    if path:
        refuse_exposed(path, "token_file")
    return secret_of_file(path, "token_file") if path else secret_of_environment("HF_TOKEN", os.environ)
