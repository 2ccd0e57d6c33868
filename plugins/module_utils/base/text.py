# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Small pieces of text that several messages and results are made of."""

from __future__ import annotations


def nearest(word, choices, cutoff=0.6):
    """The choice that is most like ``word``, as text, or None when none is like it.

    A word of three letters or more that begins one of the choices, and only that one, means it.

    :param cutoff: how like it must be, from 0 (anything) to 1 (the same).
    """
    import difflib  # noqa: PLC0415 - only for what is wrong, and the commands have to start fast

    word, choices = str(word), [str(choice) for choice in choices]
    begun = [choice for choice in choices if choice.startswith(word)] if len(word) >= 3 else []
    close = difflib.get_close_matches(word, choices, n=1, cutoff=cutoff) if len(begun) != 1 else begun
    return close[0] if close else None


def did_you_mean(word, choices, cutoff=0.6):
    """``; did you mean "x"?`` for the :func:`nearest` choice, an empty text when there is none."""
    close = nearest(word, choices, cutoff)
    return "" if close is None else f'; did you mean "{close}"?'


def last_lines(text, count):
    """The last ``count`` lines of ``text`` that are not empty."""
    return [line for line in text.splitlines() if line.strip()][-count:]


def difference(what, before, after):
    """A change of ``what`` from one text to another, in the form that ``--diff`` prints."""
    return {"before_header": what, "after_header": what, "before": before, "after": after}


def csv_row(fields):
    """``fields`` separated by commas; one that holds a comma or a quote is quoted.

    llama-server reads lists of paths and keys this way (``parse_csv_row`` in common/arg.cpp of llama.cpp 0c1e570).
    """
    return ",".join('"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field for field in fields)
