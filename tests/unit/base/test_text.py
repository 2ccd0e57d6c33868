# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Small pieces of text that several messages and results are made of."""

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.text import (
    csv_row,
    did_you_mean,
    difference,
    last_lines,
    nearest,
)


@pytest.mark.parametrize(
    "word, expected", [("helath", '; did you mean "health"?'), ("zzz", ""), (7, '; did you mean "70"?')]
)
def test_only_a_choice_that_is_like_the_word_is_suggested(word, expected):
    assert did_you_mean(word, ["health", "models", 70]) == expected


@pytest.mark.parametrize("word, expected", [("stat", "status"), ("sta", "start"), ("re", None)])
def test_what_begins_one_choice_only_means_it(word, expected):
    assert nearest(word, ["status", "start", "restart"], cutoff=0.75) == expected


def test_how_like_it_must_be_can_be_told():
    assert (nearest("hal", ["health"], cutoff=0.6), nearest("hal", ["health"], cutoff=0.75)) == ("health", None)


def test_last_lines_are_not_empty():
    assert last_lines("a\n\nb\n  \nc\n\n", 2) == ["b", "c"]
    assert last_lines("", 2) == last_lines("\n", 2) == []


def test_a_difference_names_its_subject_on_both_sides():
    assert difference("/etc/hosts", "", "x\n") == {
        "before_header": "/etc/hosts",
        "after_header": "/etc/hosts",
        "before": "",
        "after": "x\n",
    }


@pytest.mark.parametrize(
    "fields, expected",
    [([], ""), (["a", "b c"], "a,b c"), (["a,b", 'say "x"'], '"a,b","say ""x"""')],
    ids=["none", "plain", "quoted"],
)
def test_fields_with_commas_or_quotes_are_quoted(fields, expected):
    assert csv_row(fields) == expected
