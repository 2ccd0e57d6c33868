# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The window of the terminal tests shows what a user would see."""

import sys

import pyte
import pytest
from support.terminal import Terminal, Window

ECHO = """
import os, signal
signal.signal(signal.SIGWINCH, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
print("ready", flush=True)
while (line := input()) != "end":
    print("got", line, flush=True)
    if line == "size":
        signal.sigwait({signal.SIGWINCH})  # which is kept if it has come already; a handler may run just before a read
        print(*os.get_terminal_size(0), flush=True)
raise SystemExit(7)
"""


def show(window, text):
    pyte.Stream(window).feed(text)
    return window


def test_what_scrolls_off_is_kept():
    window = show(Window(10, 3), "one\r\ntwo\r\nthree\r\nfour\r\nfive")
    assert window.rows == ["one", "two", "three", "four", "five"]
    assert [row.strip() for row in window.display] == ["three", "four", "five"]


def test_a_line_wrapped_at_the_edge_is_two_rows_and_one_line():
    window = show(Window(10, 3), "0123456789ab  \r\nc\r\n\r\nd")
    assert window.rows == ["0123456789", "ab", "c", "", "d"]
    assert window.lines_as_written == ["0123456789ab", "c", "", "d"]


def test_a_line_written_over_is_no_longer_wrapped():
    window = show(Window(10, 3), "0123456789ab\033[A\r\033[Jnew\r\nnext")
    assert window.lines_as_written == ["new", "next"]


@pytest.mark.parametrize("text", ["a\N{ZERO WIDTH JOINER}b", "\u26a0\ufe0f!", "e\u0301x", "\u6f22\u200d\u5b57"])
def test_nothing_is_lost_behind_what_has_no_width(text):
    assert show(Window(10, 3), text).text.replace("\xe9", "e\u0301") == text


def test_a_wide_character_is_not_split_at_the_edge():
    assert show(Window(5, 3), "\u6f22\u6f22\u6f22").rows == ["\u6f22\u6f22", "\u6f22"]


@pytest.mark.parametrize(
    ("reflows", "narrow", "wide_again"),
    [
        (True, ["012345", "6789", "x", "y"], ["0123456789", "x", "y"]),
        (False, ["012345", "x", "y"], ["012345", "x", "y"]),
    ],
)
def test_a_new_width(reflows, narrow, wide_again):
    window = show(Window(10, 4, reflows), "0123456789\r\nx\r\ny")
    window.resize(4, 6)
    assert window.rows == narrow
    assert window.cursor.y == len(narrow) - 1
    window.resize(4, 10)
    assert window.rows == wide_again


def test_a_new_width_below_an_unfinished_line():
    window = show(Window(10, 4, reflows=True), "0123456789ab")
    for columns in (5, 12, 6):
        window.resize(4, columns)
    assert show(window, "c").lines_as_written == ["0123456789abc"]


def test_a_low_window_keeps_the_row_of_the_cursor():
    window = show(Window(10, 4), "a\r\nb\r\nc\r\nd")
    window.resize(2, 10)
    assert window.rows == ["a", "b", "c", "d"]
    assert [row.strip() for row in window.display] == ["c", "d"]
    assert window.cursor.y == 1


def test_a_command_is_typed_at_and_its_window_resized():
    with Terminal([sys.executable, "-c", ECHO], columns=40, lines=10) as terminal:
        terminal.wait_for("ready")
        terminal.type("h\xe9llo\r")
        terminal.wait_for("got h\xe9llo")
        terminal.resize(33, 11)
        terminal.type("size\r")
        terminal.wait_for("33 11")
        terminal.type("end\r")
        assert terminal.end() == 7


def test_what_does_not_come_is_a_failure_that_shows_the_window():
    with Terminal(["/bin/echo", "something else"]) as terminal, pytest.raises(AssertionError, match="something else"):
        terminal.wait_for("never")


def test_a_command_that_does_not_end_is_a_failure():
    with Terminal([sys.executable, "-c", ECHO]) as terminal, pytest.raises(AssertionError, match="does not end"):
        terminal.wait_for("ready")
        terminal.end(timeout=0)
