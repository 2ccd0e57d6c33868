# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import datetime
import re

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.log_lines import LINE_BYTES, LineStamper, now


@pytest.fixture
def stamper():
    return LineStamper(clock=lambda: "T")


def feed(stamper, *pieces):
    return "".join(stamper.feed(piece) for piece in pieces) + stamper.close()


def test_the_time_has_milliseconds_and_an_offset_and_is_now():
    before = datetime.datetime.now(datetime.timezone.utc)
    read = datetime.datetime.fromisoformat(now())
    after = datetime.datetime.now(datetime.timezone.utc)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", now())
    assert before - datetime.timedelta(milliseconds=1) <= read <= after


def test_every_line_gets_the_time(stamper):
    assert feed(stamper, b"a\nb\n\nc\n") == "T a\nT b\nT \nT c\n"


def test_a_line_may_come_in_pieces(stamper):
    assert stamper.feed(b"a") == ""
    assert stamper.feed(b"b\nc") == "T ab\n"
    assert stamper.close() == "T c\n"
    assert stamper.close() == ""


def test_characters_may_come_in_pieces(stamper):
    data = "日本 é\n".encode()
    assert feed(stamper, *(data[place : place + 1] for place in range(len(data)))) == "T 日本 é\n"


def test_what_is_no_utf8_stays_readable(stamper):
    assert feed(stamper, b"a\xff\xfeb\xe6\x97\n") == "T a\\xff\\xfeb\\xe6\\x97\n"


def test_only_line_feeds_end_a_line(stamper):
    assert feed(stamper, "a\u2028b\x0bc\x85d\r\n".encode()) == "T a\u2028b\x0bc\x85d\n"


def test_a_line_without_end_is_broken_between_characters_and_nothing_is_lost(stamper):
    text = "日本語é" * LINE_BYTES
    data = text.encode()
    pieces = [data[place : place + 1000] for place in range(0, len(data), 1000)]
    shown = feed(stamper, *pieces, b"\nnext\n").splitlines()
    assert shown.pop() == "T next"
    assert all(len(line.encode()) <= LINE_BYTES + 2 for line in shown)
    assert all(line.startswith("T … ") for line in shown[1:])
    assert shown[0][2:] + "".join(line[4:] for line in shown[1:]) == text
