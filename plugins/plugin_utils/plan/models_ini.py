# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Options of llama-server as lines of its ``models.ini``, whose grammar has neither quotes nor escapes.

Grammar: ``parse_ini_from_file`` in common/preset.cpp of llama.cpp 0c1e570. A value begins and ends with something
visible; ``;`` and ``#`` begin a comment anywhere, and a line ends where it ends. Whatever is one JSON object may say
the same in other letters; anything else that holds one of these is refused rather than cut short.
"""

from __future__ import annotations

import json
import re

from ansible_collections.macos_setup.llm.plugins.module_utils.base.strict_json import NotStrict, parse

UNSAYABLE = re.compile(r"[;#\r\n\0]|^[ \t]|[ \t]$")


class Unsayable(ValueError):
    """A value that ``models.ini`` cannot hold; its text says why."""


def lines(options):
    """``options``, pairs as for a command line, as a dict of key to text. Raises Unsayable.

    True is the bare option and False its --no- form, here as there; None leaves it out.
    """
    found = {}
    for name, value in options:
        if value is False:
            found[f"no-{name}"] = "true"
        elif value is not None:
            found[name] = "true" if value is True else _text(name, str(value))
    return found


def _text(name, value):
    if not UNSAYABLE.search(value):
        return value
    try:
        parsed = parse(value)
    except NotStrict:
        parsed = None
    if not isinstance(parsed, dict):
        raise Unsayable(
            f'the option "{name}" would be {json.dumps(value)}, and the file in which llama-server reads the options '
            'of several models can hold no ";", "#" or line break, and no blank at either end'
        )
    return json.dumps(parsed).replace(";", "\\u003b").replace("#", "\\u0023")
