# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Whether a JSON document that somebody else wrote has the form that the code which reads it takes for granted.

A form is a type, or a tuple of types; ``{key: form}`` for an object, of which every key may be missing or null unless
it is Needed, and other keys may hold anything; ``[form]`` for a list of what is not null; or OneOf several forms.
"""

from __future__ import annotations

import collections

NUMBER = (int, float)
WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    NUMBER: "a number",
    dict: "an object",
    list: "a list",
}


class Needed(collections.namedtuple("Needed", "form")):
    """The form of a key that has to be there."""


class OneOf(collections.namedtuple("OneOf", "forms")):
    """What has one of several forms."""


def misfit(value, form, place=()):
    """Where ``value`` has another form, as a path of keys and indexes, and what is wanted there; None if nowhere."""
    if isinstance(form, OneOf):
        found = [misfit(value, one, place) for one in form.forms]
        return None if None in found else found[0]
    kind = type(form) if isinstance(form, (dict, list)) else form
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return place, WORDS[kind]
    if isinstance(form, list):
        pairs = [((*place, index), entry, form[0]) for index, entry in enumerate(value)]
    elif isinstance(form, dict):
        needed = {key: part.form for key, part in form.items() if isinstance(part, Needed)}
        parts = {key: part for key, part in {**form, **needed}.items() if key in needed or value.get(key) is not None}
        pairs = [((*place, key), value.get(key), part) for key, part in parts.items()]
    else:
        return None
    return next((wrong for where, part, wanted in pairs if (wrong := misfit(part, wanted, where))), None)
