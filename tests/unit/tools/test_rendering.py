# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""An answer drawn on a terminal: all of it is there, once, however it comes and whatever happens to the window."""

import io
import json
import os
import random
import re
import select
import signal
import sys
import threading
import time

import pyte
import pytest
from llm_tools.environment import Environment
from llm_tools.rendering import code, screen, writer
from support import answers
from support.commands import TOOLS
from support.scripted_server import SILENCE, ScriptedServer, event_stream
from support.terminal import Terminal, Window

STYLE = re.compile(r"\033\[[0-9;]*m")


class Stdout(io.TextIOBase):
    """A terminal as a stream, with the window that shows it."""

    def __init__(self, columns=80, lines=24, reflows=True):
        self.window = Window(columns, lines, reflows)
        self.written = ""
        self._stream = pyte.Stream(self.window)

    @property
    def size(self):
        return self.window.columns, self.window.lines

    def isatty(self):
        return True

    def write(self, text):
        self.written += text
        self._stream.feed(text.replace("\n", "\r\n"))


@pytest.fixture(autouse=True)
def every_piece_is_drawn(monkeypatch):
    monkeypatch.setattr(writer, "REFRESH_SECONDS", 0.0)
    monkeypatch.setattr(
        screen, "window_size", lambda stdout: os.terminal_size((stdout.window.columns, stdout.window.lines))
    )


def open_writer(stdout, **environ):
    return writer.MarkdownWriter(Environment("llm", environ, stdout=stdout, stderr=io.StringIO()))


def shown(pieces, between=lambda stdout: None, environ=None, **window):
    """The terminal after an answer has come in ``pieces``."""
    stdout = Stdout(**window)
    with open_writer(stdout, **(environ or {})) as answer:
        for piece in pieces:
            answer.write(piece)
            between(stdout)
    assert stdout.window.cursor.x == 0
    return stdout


def rows(text, **window):
    return shown([text], **window).window.rows


# Any answer


def assert_shows(window, text, code_blocks=()):
    difference = answers.first_difference(text, window.text)
    assert difference is None, f"{difference}\n--- answer\n{text}\n--- window\n{window.text}"
    lines, position = window.lines_as_written, 0
    for block in code_blocks:
        wanted = [line.expandtabs(8) for line in block]
        found = [at for at in range(position, len(lines)) if lines[at : at + len(wanted)] == wanted]
        assert found, f"not shown: {wanted}\n--- answer\n{text}\n--- window\n{window.text}"
        position = found[0] + len(wanted)


@pytest.mark.parametrize("seed", range(20))
def test_all_of_any_answer_is_shown_once_and_its_code_line_by_line(seed):
    text, code_blocks = answers.answer(seed)
    columns, lines = random.Random(seed).choice([(80, 24), (40, 10), (25, 50), (10, 6), (120, 5)])
    assert_shows(shown(answers.pieces(text, seed), columns=columns, lines=lines).window, text, code_blocks)


@pytest.mark.parametrize("reflows", [True, False])
@pytest.mark.parametrize("seed", range(30, 36))
def test_all_of_any_answer_is_shown_once_in_a_window_that_is_resized(seed, reflows):
    """A terminal that does not wrap anew cuts off what is too wide; even there nothing is shown twice."""
    text, _ = answers.answer(seed)
    rng = random.Random(seed)

    def resize(stdout):
        if rng.random() < 0.05:
            stdout.window.resize(rng.choice((5, 24, 50)), rng.choice((15, 30, 60, 100)))

    window = shown(answers.pieces(text, seed), resize, reflows=reflows).window
    difference = answers.first_difference(text, window.text, all_of_it=reflows)
    assert difference is None, f"{difference}\n--- answer\n{text}\n--- window\n{window.text}"


# What becomes of Markdown


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a **b** *c* `d` ~~e~~", "a b c d e"),
        ("__init__ and _x_ in snake_case", "__init__ and _x_ in snake_case"),
        ("2*3*4, (*args, **kwargs)", "2*3*4, (*args, **kwargs)"),
        ("これは**重要**です", "これは重要です"),
        (r"\(x_1\) and C:\_x, \*literally\*", r"\(x_1\) and C:\_x, \*literally\*"),
        ("vector<int> &lt; <b>x</b> <https://a.example>", "vector<int> &lt; <b>x</b> <https://a.example>"),
        ("[text](https://a.example/b_c?d=*e*&amp;f)", "text (https://a.example/b_c?d=*e*&amp;f)"),
        ("f[0](x) [a][b] [a](b c)", "f[0](x) [a][b] [a](b c)"),
        ("![alt](./x.png)", "!alt (./x.png)"),
        ("[a]: https://a.example 'title'", "[a]: https://a.example 'title'"),
        ("#tag\n===", "#tag\n==="),
        ("## Title ##", "Title"),
        ("#", "#"),
        ("one\ntwo", "one\ntwo"),
        ("7. seven\n7. more\n", "7. seven\n7. more"),
        ("* one\n    + two", "• one\n    • two"),
        ("- one\n\n  text", "• one\n\n  text"),
        ("> a\n> b", "▌ a\n▌ b"),
        ("| a | b |\n|---|--:|\n| x\\|y | 1 |", "a     b\n───────\nx|y   1"),
        ("| a |\n|---|\n| 1 | lost? |", "| a |\n|---|\n| 1 | lost? |"),
    ],
)
def test_what_markdown_becomes(source, text):
    assert rows(source) == text.split("\n")


def test_text_is_wrapped_below_the_beginning_of_its_item():
    assert rows("- one two three four five\n  - six seven eight nine ten", columns=20) == [
        "• one two three",
        "  four five",
        "  • six seven eight",
        "    nine ten",
    ]


def test_a_word_too_long_for_its_column_is_wrapped():
    words = ["a" * 30, "b" * 30]
    text = "".join(rows(f"| {words[0]} | {words[1]} |\n|---|---|\n| c | d |", columns=40))
    assert [text.count(letter) for letter in "abcd"] == [30, 30, 1, 1]


def test_a_table_too_wide_for_the_window_is_shown_as_it_is():
    table = "| " + " | ".join(["longish"] * 5) + " |\n|" + "---|" * 5
    assert "".join(rows(table, columns=30)).replace(" ", "") == table.replace(" ", "").replace("\n", "")


def test_markup_that_is_nested_too_deep_is_shown_as_it_is():
    text = "*a " * 1500 + "b* " * 1500
    assert "".join(rows(text)).replace(" ", "") == text.replace(" ", "")


# Code


CODE = ["def f(x):", "    return 'é'  # " + "long " * 20, "", "\tif x: pass"]


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
@pytest.mark.parametrize("margin", ["", "   "])
def test_code_is_written_as_it_is_but_for_its_colours(environ, margin):
    lines = ["1. Do:", *(margin + line if line else "" for line in ["```python", *CODE, "```"])]
    stdout = shown(["\n".join(lines)], environ=environ, columns=200)
    assert STYLE.sub("", stdout.written) == "\n".join(["1. Do:", "```python", *CODE, "```", ""])
    assert ("\033[35mdef\033[0m" in stdout.written) == (not environ)


@pytest.mark.parametrize("fence", ["```\n", ""])
def test_a_tab_at_the_edge_of_the_window_hides_nothing(fence):
    """A terminal stays at the edge for a tab, and writes what follows over what is there."""
    assert "0123456789ab" in "".join(rows(fence + "0123456789\tab\n", columns=10)).replace(" ", "")


def test_a_line_of_code_is_shown_when_it_is_complete():
    stdout = Stdout()
    with open_writer(stdout) as answer:
        answer.write("```\none\ntw")
        assert stdout.window.rows == ["```", "one"]
        answer.write("o\n")
        assert stdout.window.rows == ["```", "one", "two"]


def colours(line):
    """Each character with its colour."""
    pieces = re.split(r"\033\[([0-9]+)m", "\033[0m" + line)
    return [(char, colour) for colour, text in zip(pieces[1::2], pieces[2::2]) for char in text]


def test_a_line_of_code_costs_no_more_the_more_are_above_it(monkeypatch):
    class Lexer:
        longest = 0

        def get_tokens(self, text):
            self.longest = max(self.longest, text.count("\n"))
            yield code.Keyword, text

    lexer = Lexer()
    monkeypatch.setattr(code, "lexer_for", lambda info: lexer)
    painter = code.CodePainter("x")
    painted = [line for number in range(3 * code.CONTEXT_LINES) for line in painter.paint([f"{number}\n"])]
    assert painted == [f"\033[35m{number}\033[0m\n" for number in range(3 * code.CONTEXT_LINES)]
    assert lexer.longest == code.CONTEXT_LINES + 1


def test_code_that_comes_line_by_line_is_coloured_like_all_of_it_at_once():
    lines = [
        "def f():\n",
        '    """One\n',
        "two\n",
        '    three"""\n',
        "    return 1\n",
        "\n",
        "class C:\n",
        "    x = f()\n",
    ] * 20
    one_by_one, at_once = code.CodePainter("python"), code.CodePainter("python")
    painted = [coloured for line in lines for coloured in one_by_one.paint([line])]
    assert list(map(colours, painted)) == list(map(colours, at_once.paint(lines)))


# While it comes


def test_the_first_piece_is_shown_at_once(monkeypatch):
    monkeypatch.setattr(writer, "REFRESH_SECONDS", 1e9)
    stdout = Stdout()
    with open_writer(stdout) as answer:
        answer.write("Hel")
        assert stdout.window.rows == ["Hel"]


def test_what_comes_before_a_pause_is_shown_during_it(monkeypatch):
    monkeypatch.setattr(writer, "REFRESH_SECONDS", 0.05)
    stdout = Stdout()
    with open_writer(stdout) as answer:
        for piece in ("One", " two", " three"):
            answer.write(piece)
        deadline = time.monotonic() + 60
        while stdout.window.text.strip() != "One two three":
            assert time.monotonic() < deadline, stdout.window.text
            select.select([], [], [], 0.01)
    assert stdout.window.text.strip() == "One two three"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_block_that_outgrows_the_window_passes_as_it_comes():
    words = [f"**word{number}** " for number in range(200)]
    stdout = Stdout(columns=40, lines=6)
    with open_writer(stdout) as answer:
        for word in words:
            answer.write(word)
            assert word.strip(" *") in "".join(line.strip() for line in stdout.window.display)
        answer.write("\n\n**After** it")
        assert stdout.window.rows[-1] == "After it"
    assert "".join("".join(words).split()) in "".join(stdout.window.text.split())


def test_what_is_drawn_in_a_window_that_becomes_wider_is_drawn_anew():
    stdout = Stdout(columns=40, reflows=True)
    with open_writer(stdout) as answer:
        answer.write("word " * 12)
        assert len(stdout.window.rows) == 2
        stdout.window.resize(columns=80)
        answer.write("end")
        assert stdout.window.rows == ["word " * 12 + "end"]


def test_a_window_that_becomes_too_narrow_to_draw_in():
    stdout = Stdout()
    with open_writer(stdout) as answer:
        answer.write("One **two**")
        stdout.window.resize(columns=15)
        answer.write("\n\nthree")
    assert stdout.window.rows == ["One **two**", "", "three"]


def test_what_is_drawn_is_left_when_the_process_was_stopped_meanwhile():
    stdout = Stdout()
    with open_writer(stdout) as answer:
        answer.write("One **two")
        stdout.write("\n[1]+ Stopped\n$ fg\n")
        signal.raise_signal(signal.SIGCONT)
        answer.write("** three\n\n**Four")
        answer.write("**")
    assert stdout.window.rows == ["One **two", "[1]+ Stopped", "$ fg", "", "** three", "", "Four"]


def test_an_exception_leaves_what_has_come():
    stdout = Stdout()
    with pytest.raises(ZeroDivisionError), open_writer(stdout) as answer:
        answer.write("One **two")
        raise ZeroDivisionError
    assert (stdout.window.rows, stdout.window.cursor.x) == (["One **two"], 0)


def test_others_may_write_when_the_answer_is_settled():
    stdout = Stdout()
    with open_writer(stdout) as answer:
        answer.write("One *two")
        answer.settle()
        stdout.write("a thought\n")
        answer.write("three*")
    assert stdout.window.rows == ["One *two", "a thought", "three*"]


def test_an_interrupt_waits_until_what_is_shown_is_known_to_be(monkeypatch):
    stdout, sent = Stdout(), []

    def interrupt_once():
        if not sent:
            sent.append(signal.SIGINT)
            signal.raise_signal(*sent)

    monkeypatch.setattr(stdout, "flush", interrupt_once)

    with pytest.raises(KeyboardInterrupt), open_writer(stdout) as answer:
        answer.write("One\n\n`two")
    assert stdout.window.rows == ["One", "", "`two"]


# The command


def delta(text):
    return b"data: %s\n\n" % json.dumps({"choices": [{"delta": {"content": text}}]}).encode()


def test_keys_a_new_size_and_an_interrupt(commands):
    """What is typed does not move what is drawn; the rest of a block goes on below it in a narrower window."""
    resized = threading.Event()
    first, second = "Some **words** that " + "fill a row or two, " * 4, "and the end that comes **later"
    head, one, two, _ = event_stream(delta(first), delta(second))
    with ScriptedServer(head, one, resized.wait, two, SILENCE) as server:
        commands.config["server"]["url"] = server.url
        with commands.terminal("llm", "q", columns=60, lines=10, reflows=True) as terminal:
            terminal.wait_for("row or two")
            terminal.type("\r\r")
            terminal.resize(30, 10)
            resized.set()
            terminal.wait_for("**later")
            terminal.type("\x03")
            assert terminal.end() == 130
            assert answers.first_difference(first + second, terminal.window.text) is None
            assert terminal.window.cursor.x == 0


WRITE = f"""
import sys, termios
sys.path.insert(0, {str(TOOLS)!r})
from llm_tools.environment import Environment
from llm_tools.rendering.writer import MarkdownWriter
def echoes():
    return bool(termios.tcgetattr(1)[3] & termios.ECHO)
with MarkdownWriter(Environment("llm")) as answer:
    answer.write(f"*Typed* keys are shown: {{echoes()}}")
print(f"Afterwards: {{echoes()}}")
"""


@pytest.mark.parametrize(("how", "meanwhile"), [("exec {}", False), ("set -m; {} & wait", True)])
def test_keys_are_not_shown_meanwhile_and_a_job_in_the_background_is_not_stopped(tmp_path, how, meanwhile):
    script = tmp_path / "write.py"
    script.write_text(WRITE)
    with Terminal(["/bin/sh", "-c", how.format(f"'{sys.executable}' '{script}'")]) as terminal:
        assert terminal.end() == 0
        assert terminal.window.rows[-2:] == [f"Typed keys are shown: {meanwhile}", "Afterwards: True"]
