# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the play tells the commands: one JSON file. All of it may be missing or null; what is there has its type."""

from __future__ import annotations

from .core.errors import LlamaCppError
from .core.strict_json import MOST_BYTES, NotStrict, dotted, parse

_NUMBER = (int, float)


def _texts(names):
    return dict.fromkeys(names.split(), str)


#: What templates/client.json.j2 writes: by key a type, the form of what is below, or of each entry of a list. A key that
#: is not named may hold anything; the times of ``watchdog`` are checked where they are used.
FORM = {
    "server": _texts("url api_key_file ca_file certificate model"),
    "client": {
        **_texts("command default_model system_prompt"),
        **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"), _NUMBER),
    },
    "service": {
        **_texts("manager name definition log state_file domain launchctl user program supervisord"),
        "auto_start": bool,
    },
    "rollback": {
        "gate": {**_texts("engine_dir record release"), "keep_releases": int, "files": [str], "health": {}},
        "arguments": [str],
        "selftest": _texts("model answers device"),
    },
    "watchdog": _texts("log state_file"),
    "paths": _texts("install_dir models_dir logs_dir engine"),
    "models": [{**_texts("name path description purpose"), "context_size": int}],
    "files": [{**_texts("path kind sha256"), "names": [str], "part": [int], "bytes": int}],
    "selftest": _texts("model answers"),
}

_WORDS = {str: "text", bool: "true or false", int: "a whole number", _NUMBER: "a number"}


class UsageError(LlamaCppError):
    """The command was called, or is configured, in a way that cannot work."""


class Damaged(UsageError):
    """The file is not what the play wrote."""

    def __init__(self, path, why):
        super().__init__(f"{path} is damaged: {why}. Run the play with --tags llm_tools to write it again.")


class Part(dict):
    """An object of the document; a key that has to be there and is not says so."""

    def __init__(self, values, path, place):
        super().__init__(values)
        self._path, self._place = path, place

    def __missing__(self, key):
        raise Damaged(self._path, f"{dotted((*self._place, key))} is missing")


def read(path):
    """The document in the file ``path``. Raises Damaged, and OSError when it cannot be read."""
    with open(path, "rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    try:
        return _formed(parse(content), FORM, path, ())
    except NotStrict as error:
        raise Damaged(path, error) from None


def _formed(value, form, path, place):
    """``value``, with its objects as :class:`Part`, if it is of that form. Raises NotStrict."""
    if value is None and place:
        return None
    if isinstance(form, dict):
        if not isinstance(value, dict):
            raise _not(place, "an object")
        return Part(
            {key: _formed(item, form[key], path, (*place, key)) if key in form else item for key, item in value.items()},
            path,
            place,
        )
    if isinstance(form, list):
        if not isinstance(value, list):
            raise _not(place, "a list")
        return [_entry(item, form[0], path, (*place, index)) for index, item in enumerate(value)]
    if not isinstance(value, form) or (isinstance(value, bool) and form is not bool):
        raise _not(place, _WORDS[form])
    return value


def _entry(value, form, path, place):
    if value is None:
        raise _not(place, "something")
    return _formed(value, form, path, place)


def _not(place, wanted):
    return NotStrict(f"{dotted(place) or 'the document'}: {wanted} is wanted")
