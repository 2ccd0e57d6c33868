# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Sums over the access log of a gateway."""

import io
import json
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway import usage as module
from ansible_collections.macos_setup.llm.plugins.module_utils.gateway.usage import OTHERS, Usage

NOON = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))
ANSWER = {
    "time": NOON,
    "status": 200,
    "first_byte_ms": 12,
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "client": "anna",
    "model": "tiny",
    "host": "mini1",
    "method": "POST",
    "ended": "----",
}
REFUSED = {
    **ANSWER,
    "status": 429,
    "host": "<NOSRV>",
    "prompt_tokens": None,
    "completion_tokens": None,
    "ended": "PR--",
}


def lines(*entries):
    return b"".join(
        entry if isinstance(entry, bytes) else json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        for entry in entries
    )


def summed(*entries, by=("client",), **options):
    usage = Usage(by, **options)
    usage.feed(io.BytesIO(lines(*entries)))
    return usage


@pytest.mark.parametrize(
    ("entry", "counts"),
    [
        (ANSWER, (0, 0, 0, 100, 10)),
        (REFUSED, (1, 0, 0, 0, 0)),
        ({**ANSWER, "ended": "SD--"}, (1, 0, 0, 100, 10)),
        ({**ANSWER, "ended": "CD--", "completion_tokens": None}, (0, 1, 0, 100, 0)),
        ({**REFUSED, "status": -1, "ended": "CQ--"}, (0, 1, 0, 0, 0)),
        ({**ANSWER, "prompt_tokens": None, "completion_tokens": None}, (0, 0, 1, 0, 0)),
        ({**REFUSED, "status": 200, "method": "GET", "ended": "LR--"}, (0, 0, 0, 0, 0)),
    ],
    ids=["answer", "refused", "host died", "client left", "left early", "uncounted", "list"],
)
def test_what_a_request_counts_as(entry, counts):
    total = summed(entry).total
    assert (total.errors, total.left, total.uncounted, total.prompt_tokens, total.completion_tokens) == counts
    assert total.requests == 1


def test_groups_come_by_day_and_then_by_tokens():
    bert, next_day = {**ANSWER, "client": "bert", "prompt_tokens": 500}, {**ANSWER, "time": NOON + 86400}
    found = [
        (names, sums.requests) for names, sums in summed(ANSWER, next_day, bert, ANSWER, by=("client", "day")).groups()
    ]
    assert found == [
        ({"client": "bert", "day": "2026-11-20"}, 1),
        ({"client": "anna", "day": "2026-11-20"}, 2),
        ({"client": "anna", "day": "2026-11-21"}, 1),
    ]


def test_only_what_came_in_time_counts():
    entries = [{**ANSWER, "time": NOON + second} for second in range(10)]
    assert summed(*entries, since=NOON + 2, until=NOON + 5).total.requests == 3


def test_what_is_no_request_is_left_out_and_what_is_damaged_is_counted():
    damaged = [
        lines(ANSWER)[:-9] + b"\n",
        lines({**ANSWER, "status": "200"}),
        lines({**ANSWER, "client": None}),
        lines({**ANSWER, "time": 1e300}),
        lines({key: value for key, value in ANSWER.items() if key != "model"}),
        b'{"time":' + b"[" * 60_000 + b"\n",
        b'{"time":' + b"9" * 200_000 + b"\n",
        b'{"time":\xff}\n',
    ]
    others = [b"[NOTICE]   (1) : New worker (2) forked\n", b"\n", b"x" * 200_000 + lines(ANSWER), b"\x00\xff\n"]
    found = summed(ANSWER, *damaged, *others, ANSWER, lines(ANSWER)[:-30], by=("day",))
    assert (found.total.requests, found.damaged) == (2, len(damaged) + 1)


def test_how_soon_answers_began():
    found = summed(*({**ANSWER, "first_byte_ms": value} for value in range(1, 1001)), REFUSED).total
    for percent, value in ((50, 500), (95, 950), (99, 990)):
        assert value <= found.first_byte_ms(percent) <= 1.06 * value
    assert summed({**ANSWER, "first_byte_ms": 3}).total.first_byte_ms(99) == 3
    assert summed(REFUSED).total.first_byte_ms(50) is None


def test_names_without_end_are_put_together(monkeypatch):
    monkeypatch.setattr(module, "MOST_GROUPS", 3)
    found = summed(*({**REFUSED, "model": f"no{number}"} for number in range(9)), by=("model",)).groups()
    assert [names["model"] for names, _sums in found] == [OTHERS, "no0", "no1", "no2"] and found[0][1].requests == 6
