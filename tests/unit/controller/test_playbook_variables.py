# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The variables that a playbook reads before the role can, on every route."""

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.macos_setup.llm.plugins.lookup import batches
from support.paths import REPOSITORY

PLAY = yaml.safe_load((REPOSITORY / "playbooks" / "macos_setup.yml").read_text())[0]


def batches_of(given):
    """What the keyword ``serial`` of the play is, which asks the lookup with the variable."""
    assert "query('macos_setup.llm.batches', llama_cpp_serial | default(none))" in PLAY["serial"]
    return batches.LookupModule().run([given])


def keyword(name, **variables):
    """What a keyword of the play is with these variables."""
    return Templar(DataLoader(), variables).template(trust_as_template(PLAY[name]))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (1, [1]),
        ("1", ["1"]),
        ("25%", ["25%"]),
        ([1, "25%"], [1, "25%"]),
        ('[1,"25%"]', [1, "25%"]),
        ([], []),
        ("", []),
        (None, []),
    ],
    ids=str,
)
def test_batches(given, wanted):
    assert batches_of(given) == wanted


@pytest.mark.parametrize(
    "given", ["abc", "1.5", -1, "-1", "0x1", [1, "x%"], [0], 0, {"a": 1}, True, "[true]", "1\n"], ids=repr
)
def test_what_is_no_batch_is_refused_by_name(given):
    with pytest.raises(AnsibleError, match=r"llama_cpp_serial: .*25%"):
        batches_of(given)


def test_a_fleet_in_batches_stops_at_the_first_failure_unless_told_otherwise():
    limit = "max_fail_percentage"
    assert keyword(limit) == 100
    assert keyword(limit, llama_cpp_serial=1) == keyword(limit, llama_cpp_serial="1") == 0
    assert keyword(limit, llama_cpp_serial=1, llama_cpp_stop_at_failure=None) == 0
    for off in (False, "false", "no", "0"):
        assert keyword(limit, llama_cpp_serial=1, llama_cpp_stop_at_failure=off) == 100
    assert keyword(limit, llama_cpp_stop_at_failure="true") == 0
