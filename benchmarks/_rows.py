# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What a benchmark has measured, with the bound that it is to keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Bound(NamedTuple):
    words: str
    holds: Callable


def at_most(limit):
    return Bound(f"at most {limit:g}", lambda value: value <= limit)


def at_least(limit):
    return Bound(f"at least {limit:g}", lambda value: value >= limit)


def between(least, most):
    return Bound(f"{least:g} to {most:g}", lambda value: least <= value <= most)


class Row(NamedTuple):
    """One line of the table. A ``value`` of None was not measured; the ``note`` says why."""

    title: str
    value: float | None
    bound: Bound
    note: str = ""

    @property
    def verdict(self):
        return "not measured" if self.value is None else "holds" if self.bound.holds(self.value) else "MISSED"

    def cells(self):
        value = "" if self.value is None else f"{self.value:.2f}"
        return self.title, value, self.bound.words, self.verdict, self.note
