# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a bundle (offline/bundle.py) says of itself, believed only as far as it fits together.

The maker of a bundle, or what damaged it, has written all of this. Nothing of it is used as a path, a name or a number
before it was looked at here.
"""

from __future__ import annotations

import platform
import re

from ..base.strict_json import NotStrict, parse
from ..ownership.file_tree import parts_of, printable

FACTS, SUMS = "bundle.json", "SHA256SUMS"
FORMAT = 1
ORIGINS = ("origin", "revision")

LONGEST_TEXT = 4 * 1024 * 1024  # of bundle.json and of SHA256SUMS; those of a hundred models are some 50 KB
MOST_MEMBERS = 20000

SHA256 = re.compile("[0-9a-f]{64}")
#: A release as engine/release.py names it; never a path, never hidden.
RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.whl")


class Malformed(ValueError):
    """What is wrong with a bundle, in a sentence that begins small and has no full stop."""


def this_platform():
    """What a bundle must have been made on to be installed here."""
    return {"system": platform.system(), "machine": platform.machine()}


def checked(text):
    """The facts in the text of ``bundle.json``; raises Malformed.

    ``platform``  ``system`` and ``machine`` that it is for
    ``python``    the version of Python that the wheels are for, ``3.11``
    ``release``   the name of the engine's release
    ``models``    by filename: ``sha256``, ``bytes``, ``origin`` and ``revision`` as in models/verification.py
    """
    try:
        facts = parse(text)
    except NotStrict as error:
        raise Malformed(f"its {FACTS} is no JSON ({error})") from None
    if not isinstance(facts, dict):
        raise Malformed(f"its {FACTS} is no JSON object")
    if facts.get("format") != FORMAT:
        raise Malformed(f"its {FACTS} does not have the format {FORMAT}")
    here = facts.get("platform")
    if not isinstance(here, dict) or set(here) != {"system", "machine"} or not all(map(_is_text, here.values())):
        raise Malformed(f"its {FACTS} names no platform")
    if not _matches(RELEASE, facts.get("release")):
        raise Malformed(f"its {FACTS} names no release")
    if not _is_text(facts.setdefault("python", "an unknown version")):
        raise Malformed(f"its {FACTS} names no version of Python")
    models = facts.get("models")
    if not isinstance(models, dict) or not all(map(_is_filename, models)):
        raise Malformed(f"its {FACTS} has no list of models")
    for name, model in models.items():
        if not isinstance(model, dict) or not _is_model(model):
            raise Malformed(f"its {FACTS} does not say what {printable(name)} is")
        for fact in ORIGINS:
            model.setdefault(fact, None)
    return facts


def members_by_name(found, room):
    """The members of a tar of ``room`` bytes by their names; raises Malformed for what no bundle holds."""
    members = {}
    for member in found:
        if member.name in members:
            raise Malformed(f"it holds {printable(member.name)} twice")
        if len(members) >= MOST_MEMBERS:
            raise Malformed(f"it holds more than {MOST_MEMBERS} files")
        _require_plain(member, room)
        members[member.name] = member
    return members


def sums(text):
    """The hashes by name in the text of ``SHA256SUMS``; raises Malformed."""
    found = {}
    for line in text.rstrip("\n").split("\n"):
        digest, blank, name = line[:64], line[64:66], line[66:]
        if not SHA256.fullmatch(digest) or blank != "  " or not name or name in found:
            raise Malformed(f"its {SUMS} is no list of hashes")
        found[name] = digest
    return found


def require_fit(facts, members, listed):
    """See that facts, members and list of hashes speak of the same files; raises Malformed.

    Every file is looked up in the list, so what is not in it has no way in.
    """
    for name in sorted({*members, *listed} - {SUMS}):
        if name not in listed:
            raise Malformed(f"{printable(name)} is not in its {SUMS}")
        if name not in members:
            raise Malformed(f"it has no {printable(name)}, which is in its {SUMS}")
        folder, _slash, rest = name.partition("/")
        if folder == "wheels" and not WHEEL.fullmatch(rest):
            raise Malformed(f"{printable(name)} is no wheel")
        if folder == "models" and rest not in facts["models"]:
            raise Malformed(f"{printable(name)} is no model that its {FACTS} names")
    for name, model in facts["models"].items():
        member = members.get("models/" + name)
        if member is None:
            raise Malformed(f"it has no models/{printable(name)}, which its {FACTS} names")
        if (member.size, listed[member.name]) != (model["bytes"], model["sha256"]):
            raise Malformed(f"{FACTS} and {SUMS} speak of different files as {printable(member.name)}")


def _require_plain(member, room):
    name = printable(member.name)
    if not member.isfile() or member.issparse() or not 0 <= member.size < room:
        raise Malformed(f"it holds {name}, which is no plain file")
    parts = parts_of(member.name)
    if not parts or "/".join(parts) != member.name or "\n" in member.name:
        raise Malformed(f"it holds {name}, which is no name of a file in it")


def _is_model(model):
    size = model.get("bytes")
    return (
        _matches(SHA256, model.get("sha256"))
        and isinstance(size, int)
        and not isinstance(size, bool)
        and all(model.get(fact) is None or _is_text(model[fact]) for fact in ORIGINS)
    )


def _is_filename(name):
    return _is_text(name) and "/" not in name and name not in (".", "..")


def _is_text(value):
    """Whether it is a line that can be printed and stored."""
    return isinstance(value, str) and 0 < len(value) < LONGEST_TEXT and value.isprintable()


def _matches(pattern, value):
    return isinstance(value, str) and pattern.fullmatch(value) is not None
