# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""JSON whose numbers can be computed with and whose text can be written to a file.

Python reads more than JSON allows (``NaN``, ``1e999`` as infinity, integers of any length) and keeps the last of two
equal keys; text may hold half a character, and a document may be nested deeper than a program can follow. All of it
passes most checks and ends as an exception far from its cause. Here it is one line where the document is read.
"""

from __future__ import annotations

import collections
import json
import math
import re

#: Of one document. Nothing that the collection reads comes near.
MOST_BYTES = 16 * 1024 * 1024

#: Lists and objects inside one another.
DEEPEST = 64

#: Whole numbers have at most 64 bits: sizes, and times in nanoseconds, are no larger.
SMALLEST, LARGEST = -(2**63), 2**64 - 1
MOST_DIGITS = len(str(LARGEST))

#: The longest time, in seconds, that a program is told to wait: what select() and a socket can still be given.
LONGEST_SECONDS = 1_000_000

NOT_FINITE = "this number is not finite, or too long"
TOO_LONG = "this is a whole number of more than 64 bits"
TOO_DEEP = f"it is nested more than {DEEPEST} deep"
NUL = "this text holds a NUL character"
HALF = "this text holds half a character (a lone surrogate)"

#: Of a key, where it is named, and of a sentence about what somebody else wrote.
LONGEST_NAME, LONGEST_SENTENCE = 80, 400

_UNUSABLE = re.compile("[\0\ud800-\udfff]")


class NotStrict(ValueError):
    """A document that is refused; its text says why, in one line."""


def parse(document, most_bytes=MOST_BYTES, any_text=False):
    """The value of a JSON document, given as text or as bytes of UTF-8. Raises NotStrict with the first flaw.

    :param any_text: let text hold what it likes: it comes from a program and is only shown.
    """
    value = parse_syntax(document, most_bytes)
    for path, what in flaws(value, any_text, most_bytes):
        raise NotStrict(f"{dotted(path)}: {what}" if path else what)
    return value


def parse_syntax(document, most_bytes=MOST_BYTES):
    """The same, except that numbers and text may still have :func:`flaws`; no more than the depth is looked at."""
    if len(document) > most_bytes:
        raise NotStrict(f"it has more than {most_bytes} bytes")
    try:
        text = document.decode("utf-8") if isinstance(document, bytes) else document
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise NotStrict(f"it is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}") from None
    except RecursionError:
        raise NotStrict(TOO_DEEP) from None
    if ((), TOO_DEEP) in flaws(value, any_text=True, most_bytes=most_bytes):
        raise NotStrict(TOO_DEEP)
    return value


def flaws(value, any_text=False, most_bytes=MOST_BYTES):
    """Pairs of a path (keys and indexes) and what is wrong there, of a value that did not have to come from JSON.

    What is nested too deep, or too much, has that one flaw, with an empty path.
    """
    found, size, left = [], 0, [((), value)]
    while left:
        path, value = left.pop()
        if len(path) > DEEPEST:
            return [((), TOO_DEEP)]
        size += len(value) if isinstance(value, str) else 1  # of what is empty, too
        if isinstance(value, dict):
            left += [((*path, key), item) for key, item in value.items()]
            found += [((*path, key), what) for key in value if (what := _flaw_of_key(key, any_text))]
            size += sum(len(key) for key in value if isinstance(key, str))
        elif isinstance(value, list):
            left += [((*path, index), item) for index, item in enumerate(value)]
        elif what := _flaw(value, any_text):
            found.append((path, what))
        if size > most_bytes:
            return [((), f"it has more than {most_bytes} bytes")]
    return found


def dotted(path):
    """A data path as people write it, in one line: ``models.tiny.mirrors[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_name(str(part))}"
    return text.lstrip(".")


def _name(key):
    return shortened(visible(key[: LONGEST_NAME + 1]), LONGEST_NAME)


def visible(text):
    """``text`` with what a terminal does not show, or cannot, as JSON writes it: ``\\n``, ``\\ud800``."""
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


def told(sentence):
    """A sentence with what somebody else wrote in it, in one line that can be read to its end."""
    return shortened(visible(sentence[: LONGEST_SENTENCE + 1]), LONGEST_SENTENCE)


def shortened(text, length):
    """``text``, or as much of it as fits into ``length`` with a mark that there was more."""
    return text if len(text) <= length else text[: length - 1] + "…"


def kind_of(value):
    """What kind of value it is, for what is no JSON; Ansible has kinds of its own."""
    return type(value).__name__.removeprefix("_AnsibleTagged").lower()


def _flaw(value, any_text):
    if isinstance(value, str):
        return None if any_text else _flaw_of_text(value)
    if isinstance(value, float):
        return None if math.isfinite(value) else NOT_FINITE
    if isinstance(value, int):
        return None if SMALLEST <= value <= LARGEST else TOO_LONG
    return None if value is None else f"this is a {kind_of(value)}, of which JSON knows nothing; quote it"


def _flaw_of_key(key, any_text):
    if not isinstance(key, str):
        return "the name is no text; quote it"
    return None if any_text else _flaw_of_text(key)


def _flaw_of_text(text):
    unusable = _UNUSABLE.search(text)
    return None if unusable is None else NUL if unusable[0] == "\0" else HALF


def _object(pairs):
    counted = collections.Counter(key for key, _value in pairs)
    doubled = [key for key, count in counted.items() if count > 1]
    if doubled:
        raise NotStrict(f'the key "{_name(doubled[0])}" is given twice')
    return dict(pairs)


def _integer(digits):
    """What is too long to be computed with is not even read, since that takes the square of the time."""
    return int(digits) if len(digits) <= MOST_DIGITS + 1 else math.inf
