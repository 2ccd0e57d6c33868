# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""JSON that is passed on: the server judges what is sent, and its user what it answers.

So it is read by the quick parser that Python has, which base/strict_json.py takes several times as long as.
"""

from __future__ import annotations

import json

TOO_DEEP = "it is nested too deep"


class NotJson(ValueError):
    """A document that is refused; the text says why, in one line."""


def parse(text):
    """The value of a JSON document. Raises NotJson."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise NotJson(f"column {error.colno}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise NotJson(TOO_DEEP) from None
    except ValueError as error:  # a number that is too long
        raise NotJson(str(error)) from None


def _refuse(name):
    raise NotJson(f"{name} is not JSON")


def as_json(value):
    """``value`` as JSON, in UTF-8 and in one line."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:  # half a character
        return json.dumps(value).encode("ascii")
