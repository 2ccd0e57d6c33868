# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm batch``: order, bounds, patience, and what is shown meanwhile."""

import io
import threading
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until

SECONDS = 20


def work(count, answer, parallel=4, tick=lambda: None):
    """The results of so many lines, whose content is their number."""
    from llm_tools.batch.lines import Lines
    from llm_tools.batch.work import Work

    written = []
    lines = Lines(io.BytesIO(b"".join(b"%d\n" % number for number in range(count))), "in.jsonl")
    Work(lines, answer, written.append, parallel).run(tick, 0.01)
    return [result for results in written for result in results]


def test_results_are_in_the_order_of_their_lines():
    """However long the first ones take."""
    last = threading.Event()

    def answer(line):
        if line.index < 3:
            assert last.wait(SECONDS)
        if line.index == 9:
            last.set()
        return line.content

    assert work(10, answer) == [b"%d" % number for number in range(10)]


def test_so_many_at_a_time_and_no_more():
    together = threading.Barrier(4)
    running, most = set(), []

    def answer(line):
        running.add(line.index)
        most.append(len(running))
        together.wait(SECONDS)
        running.discard(line.index)
        together.wait(SECONDS)
        return line.content

    assert len(work(12, answer)) == 12
    assert max(most) == 4


def read_ahead(size):
    """How many of 200 lines are read while the first has no result; each of the others has one of ``size`` bytes."""
    first, read, seen = threading.Event(), [], []

    def answer(line):
        read.append(line.index)
        if line.index == 0:
            assert first.wait(SECONDS)
        return b"x" * size

    def look():
        seen.append(len(read))
        if len(seen) > 5 and seen[-1] == seen[-5]:
            first.set()

    assert len(work(200, answer, parallel=2, tick=look)) == 200
    return seen[5]


def test_not_more_is_read_ahead_than_may_be_held(monkeypatch):
    from llm_tools.batch import work as module

    assert read_ahead(1) == 2 * module.AHEAD
    monkeypatch.setattr(module, "MOST_HELD_BYTES", 50)
    assert read_ahead(20) == 4


def test_what_fails_in_a_thread_is_raised_and_what_came_before_is_written():
    from llm_tools.batch.lines import Lines
    from llm_tools.batch.work import Work

    written = []

    def answer(line):
        if line.index == 5:
            assert wait_until(lambda: sum(map(len, written)) == 5, SECONDS, 0.001)
            raise OSError("no more")
        return line.content

    with pytest.raises(OSError, match="no more"):
        Work(Lines(io.BytesIO(b"x\n" * 100), ""), answer, written.append, 4).run(lambda: None, 0.01)
    assert sum(map(len, written)) == 5


# Patience


class Server:
    """A server whose answers are given; the last one holds for ever."""

    base_url = "http://server"

    def __init__(self, *answers, health=("ready",)):
        self._answers, self._health = list(answers), list(health)
        self.asked = 0

    def ask(self):
        self.asked += 1
        return self._next(self._answers)

    def health(self):
        return self._next(self._health)

    @staticmethod
    def _next(answers):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def patient(monkeypatch):
    """``patient(server, seconds)``: what a patient request to it returns; told is what was said meanwhile."""
    from llm_tools.batch import patience

    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)

    def ask(server, seconds=SECONDS):
        told = []
        found = patience.Patience(server, seconds, told.append).ask(server.ask)
        return found, told

    return ask


def errors():
    from llm_tools.core.llama.errors import NotRunning, ServerError, StillLoading

    return [NotRunning("down"), StillLoading("loading", 503), ServerError("busy", 429), ServerError("full", 503)]


def test_a_server_that_is_away_for_a_while_is_waited_for(patient):
    down, *others = errors()
    server = Server(down, *others, "answer")
    assert patient(server) == ("answer", [down])
    assert server.asked == 5


@pytest.mark.parametrize("number", range(4))
def test_but_not_for_ever(patient, number):
    error = errors()[number]
    with pytest.raises(type(error), match=str(error)):
        patient(Server(error), seconds=0.01)


def test_a_server_that_says_when_to_come_again_is_not_asked_earlier(patient):
    busy = errors()[2]
    busy.retry_after = 0.1
    began = time.monotonic()
    assert patient(Server(busy, "answer"))[0] == "answer"
    assert time.monotonic() - began >= 0.1
    busy.retry_after = 3600
    with pytest.raises(type(busy)):
        patient(Server(busy), seconds=0.01)


def test_what_does_not_pass_is_not_tried_again(patient):
    from llm_tools.core.llama.errors import NotAuthorised, ServerError

    for error in (ServerError("no", 400), ServerError("broken", 500), NotAuthorised("key", 401), ServerError("tls")):
        server = Server(error)
        with pytest.raises(type(error)):
            patient(server)
        assert server.asked == 1


def test_a_request_that_ends_the_server_each_time_is_given_up(patient):
    from llm_tools.batch.patience import MOST_LOST, EndsServer
    from llm_tools.core.llama.errors import ConnectionLost, NotRunning

    lost, down = ConnectionLost("lost"), NotRunning("down")
    server = Server(lost, health=(down, "loading", "ready"))
    with pytest.raises(EndsServer):
        patient(server)
    assert server.asked == MOST_LOST
    assert patient(Server(lost, lost, "answer"))[0] == "answer"


def test_while_the_server_is_away_the_request_is_not_what_ends_the_server(patient):
    """As of a proxy that takes connections for a server that is away."""
    from llm_tools.batch.patience import MOST_LOST
    from llm_tools.core.llama.errors import ConnectionLost

    class Away(Server):
        looks = 0

        def ask(self):
            self.asked += 1
            if self.looks <= MOST_LOST:
                raise ConnectionLost("lost")
            return "answer"

        def health(self):
            self.looks += 1
            if self.looks <= MOST_LOST:
                raise ConnectionLost("lost")
            return "ready"

    server = Away()
    assert patient(server)[0] == "answer"
    assert server.asked == 2


# What is shown


class Terminal:
    def __init__(self):
        self.lines = []

    def status(self, text):
        self.lines.append(text)


class Calm:
    trouble = None


@pytest.mark.parametrize("width", [10, 40, 79, 200])
def test_the_line_fits_into_the_window(width):
    from llm_tools.batch.progress import Display, Tally

    tally = Tally(5, 1)
    display = Display(Terminal(), tally, Calm(), 1000)
    tally.count_lines(495, 2)
    line = display.line(width)
    assert len(line) <= width and line.strip()
    if width >= 79:
        assert " 50 % 500/1000 lines, 3 failed" in line and line.startswith("[") and "#." in line


def test_rates_and_the_time_left(monkeypatch):
    from llm_tools.batch import progress

    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    tally = progress.Tally(100)
    display = progress.Display(Terminal(), tally, Calm(), 400)
    now[0] += 10
    tally.count_lines(100, 0)
    tally.count_answer(2000, False)
    assert "200/400 lines, 10.0 lines/s, 200 tokens/s, 20 s left" in display.line(200)
    assert "left" not in progress.Display(Terminal(), tally, Calm()).line(200)
    waiting = Calm()
    waiting.trouble = OSError()
    assert "waiting for the server" in progress.Display(Terminal(), tally, waiting, 400).line(200)
    assert tally.summary()["lines_per_second"] == 10
