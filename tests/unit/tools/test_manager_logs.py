# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""``llm-manager logs``, also while the log is rotated or cut short."""

import select
import signal

import pytest
from support.commands import interrupt
from support.runner_host import RunnerHost

pytestmark = pytest.mark.processes


@pytest.fixture
def log(commands, tmp_path):
    path = tmp_path / "a log.log"
    path.write_text("".join(f"line {number}\n" for number in range(1, 101)))
    commands.config["service"] = {"manager": "supervisor", "log": str(path)}
    return path


@pytest.mark.parametrize(("words", "first", "count"), [([], 51, 50), (["-n", "2"], 99, 2), (["-n", "999"], 1, 100)])
def test_last_lines(commands, log, words, first, count):
    done = commands.run("llm-manager", "logs", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"line {number}" for number in range(first, first + count)]


def test_no_lines(commands, log):
    assert commands.run("llm-manager", "logs", "-n", "0").stdout == ""


def test_long_lines_and_a_last_one_that_is_not_complete(commands, log):
    long = "é" * 200_000
    log.write_text(f"{long}\nshort\n{long}\nopen end", encoding="utf-8")
    assert commands.run("llm-manager", "logs", "-n", "3").stdout == f"short\n{long}\nopen end"


def test_lines_that_were_rotated_away_a_moment_ago(commands, log):
    for number, text in ((1, "97\n98\n"), (2, "95\n96\n"), (4, "93\n94\n")):
        log.with_name(f"{log.name}.{number}").write_text(text)
    log.write_text("99\n")
    for count in (1, 2, 3, 4, 6):
        done = commands.run("llm-manager", "logs", "-n", str(count))
        assert done.stdout.split() == [str(number) for number in range(100 - count, 100)]
    assert len(commands.run("llm-manager", "logs", "-n", "50").stdout.split()) == 7


def test_missing_log(commands, log):
    log.unlink()
    done = commands.run("llm-manager", "logs")
    assert (done.returncode, done.stdout) == (1, "")
    assert str(log) in done.stderr


def test_without_a_service(commands):
    assert commands.run("llm-manager", "logs").returncode == 2


class Follower:
    def __init__(self, commands):
        self.process = commands.start("llm-manager", "logs", "-n", "1", "--follow", bufsize=0)

    def line(self):
        """The next line, or what there is of it after a generous time."""
        line = b""
        while not line.endswith(b"\n") and select.select([self.process.stdout], [], [], 30)[0]:
            byte = self.process.stdout.read(1)
            if not byte:
                break
            line += byte
        return line.decode()

    def end(self):
        interrupt(self.process)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def follower(commands, log):
    follower = Follower(commands)
    assert follower.line() == "line 100\n"
    yield follower
    follower.process.kill()
    follower.process.communicate()


def append(path, text):
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(text)


def test_follow_shows_what_is_written(follower, log):
    for number in range(101, 104):
        append(log, f"line {number}\n")
        assert follower.line() == f"line {number}\n"
    assert follower.end() == (130, b"", b"")


def test_follow_survives_rotation(follower, log):
    append(log, "last of the old\n")
    log.rename(log.with_suffix(".0"))
    append(log, "first of the new\n")
    assert follower.line() == "last of the old\n"
    assert follower.line() == "first of the new\n"


def test_follow_survives_a_while_without_a_log(follower, log):
    log.rename(log.with_suffix(".0"))
    append(log.with_suffix(".0"), "written behind its back\n")
    assert follower.line() == "written behind its back\n"
    append(log, "first of the new\n")
    assert follower.line() == "first of the new\n"


def test_follow_survives_truncation(follower, log):
    log.write_text("begins anew\n")
    assert follower.line() == "begins anew\n"
    append(log, "goes on\n")
    assert follower.line() == "goes on\n"


def test_follow_keeps_characters_whole(follower, log):
    whole = "日本\n".encode()
    with open(log, "ab", buffering=0) as stream:
        for index in range(len(whole)):
            stream.write(whole[index : index + 1])
    assert follower.line() == "日本\n"


def rotate(log, times=1):
    for _ in range(times):
        for number in range(9, 0, -1):
            source = log.with_name(f"{log.name}.{number}")
            if source.exists():
                source.rename(log.with_name(f"{log.name}.{number + 1}"))
        log.rename(log.with_name(log.name + ".1"))


def test_follow_misses_nothing_when_it_looks_away_during_rotations(follower, log):
    follower.process.send_signal(signal.SIGSTOP)
    for number in range(1, 6):
        append(log, f"file {number}\n")
        rotate(log)
    log.with_name(log.name + ".3").unlink()  # as if a rotation had been interrupted: that line is gone for good
    append(log, "file 6\n")
    follower.process.send_signal(signal.SIGCONT)
    assert [follower.line() for _ in range(5)] == [f"file {number}\n" for number in (1, 2, 4, 5, 6)]


def test_follow_sees_every_line_of_a_busy_server(commands, tmp_path):
    host = RunnerHost(tmp_path)
    host.config["rotation"] = {"max_bytes": 50_000, "keep": 100}
    try:
        host.start_talking()
        commands.config["service"] = {"manager": "supervisor", "log": str(host.log)}
        follower = Follower(commands)
        assert follower.line().endswith(" ready\n")
        host.tell("say 20000")
        assert [follower.line().split(" ", 1)[1] for _ in range(20_000)] == [f"line {n}.\n" for n in range(20_000)]
        assert len(host.files()) > 3
        assert follower.end() == (130, b"", b"")
    finally:
        host.close()
