# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the play tells the commands: one JSON file. All of it may be missing or null; what is there has its type."""

from __future__ import annotations

from .core.base.json_form import NUMBER, misfit
from .core.base.strict_json import MOST_BYTES, NotStrict, dotted, parse
from .errors import UsageError


def _texts(names):
    return dict.fromkeys(names.split(), str)


#: What the templates client.json.j2 and gateway-client.json.j2 write (core/json_form.py); the times of ``watchdog`` are
#: checked where they are used.
FORM = {
    "server": _texts("url api_key_file ca_file certificate model"),
    "client": {
        **_texts("command default_model system_prompt"),
        **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "max_tokens", "seed"), NUMBER),
    },
    "service": {
        **_texts("manager name definition log state_file launchctl user program supervisord"),
        "domains": [str],
        "auto_start": bool,
    },
    "rollback": {
        "rollout": {**_texts("engine_dir record release"), "keep_releases": int, "files": [str], "health": {}},
        "arguments": [str],
        "selftest": _texts("model answers device"),
    },
    "watchdog": _texts("log state_file"),
    "gateway": _texts("unit journalctl log"),
    "paths": _texts("install_dir bin_dir"),
    "models": [{**_texts("name dest description purpose license"), "context_size": int}],
    "files": [{**_texts("name kind dest sha256"), "bytes": int, "shards": [{"sha256": str, "bytes": int}]}],
    "selftest": _texts("model answers device"),
}


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
        found = parse(content)
    except NotStrict as error:
        raise Damaged(path, error) from None
    wrong = misfit(found, FORM)
    if wrong:
        place, wanted = wrong
        raise Damaged(path, f"{dotted(place) or 'the document'}: expected: {wanted}")
    return _in_parts(found, path, ())


def _in_parts(value, path, place):
    """``value`` with its objects as :class:`Part`."""
    if isinstance(value, list):
        return [_in_parts(entry, path, (*place, index)) for index, entry in enumerate(value)]
    if isinstance(value, dict):
        return Part({key: _in_parts(part, path, (*place, key)) for key, part in value.items()}, path, place)
    return value
