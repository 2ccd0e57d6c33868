# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Rotation by size: bounded, complete, whatever happens in the middle of it."""

import os
import re
import shutil

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import rotating_log
from ansible_collections.macos_setup.llm.plugins.module_utils.base.rotating_log import (
    RotatingLog,
    numbered,
    rotated_numbers,
)

MAX_BYTES = 100


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "logs" / "a [log].log")


@pytest.fixture
def log(path):
    os.mkdir(os.path.dirname(path))
    return RotatingLog(path, MAX_BYTES, 3)


def lines(path):
    """All there is, oldest first."""
    numbers = [*reversed(rotated_numbers(path)), 0]
    return "".join(open(numbered(path, number), encoding="utf-8").read() for number in numbers).splitlines()


def numbers_from(first, count):
    return "".join(f"{number:09d}\n" for number in range(first, first + count))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link of somebody else")
def test_a_link_of_the_owner_is_followed_and_that_of_somebody_else_is_not(tmp_path):
    for name, owner in (("own", 0), ("others", 65534)):
        (tmp_path / name).symlink_to(tmp_path / (name + ".target"))
        (tmp_path / (name + ".target")).write_text("before\n")
        os.chown(tmp_path / name, owner, owner, follow_symlinks=False)
        log = RotatingLog(str(tmp_path / name), 1000, 2)
        log.write("after\n")
        log.close()
    assert [(tmp_path / name).read_text() for name in ("own", "others")] == ["before\nafter\n", "before\n"]


def test_one_line_after_the_other_ends_up_in_bounded_files(log, path):
    for number in range(95):
        log.write(numbers_from(number, 1))
    assert rotated_numbers(path) == [1, 2, 3]
    assert [os.path.getsize(numbered(path, number)) for number in range(4)] == [50, 100, 100, 100]
    assert lines(path) == numbers_from(60, 35).splitlines()


def test_one_big_piece_is_divided_between_lines(path, log):
    log.write(numbers_from(0, 33) + "end\n")
    assert lines(path) == [*numbers_from(0, 33).splitlines(), "end"]
    assert [os.path.getsize(numbered(path, number)) for number in range(4)] == [34, 100, 100, 100]


def test_a_line_longer_than_a_file_has_a_file_of_its_own(path, log):
    log.write("short\n" + "x" * 500 + "\nshort\n")
    assert [os.path.getsize(numbered(path, number)) for number in range(3)] == [6, 501, 6]


def test_a_new_writer_goes_on_where_the_last_one_ended(path, log):
    log.write(numbers_from(0, 5))
    log.close()
    RotatingLog(path, MAX_BYTES, 3).write(numbers_from(5, 7))
    assert lines(path) == numbers_from(0, 12).splitlines() and rotated_numbers(path) == [1]


def test_a_line_that_was_cut_off_stays_alone(path, log):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("cut o")
    log.write("next\n")
    log.write("last\n")
    assert lines(path) == ["cut o", "next", "last"]


class Killed(BaseException):
    pass


def test_killed_at_any_step_of_a_rotation_nothing_is_lost_or_doubled(path, log, monkeypatch):
    """Two kills in a row, at any two steps of full and of partial rotations."""
    replace = os.replace
    for first in range(6):
        for second in range(6):
            shutil.rmtree(os.path.dirname(path))
            os.mkdir(os.path.dirname(path))
            steps = iter([*(None for _ in range(first)), Killed, *(None for _ in range(second)), Killed])

            def stumble(source, target, steps=steps):
                replace(source, target)
                if next(steps, None) is Killed:
                    raise Killed

            monkeypatch.setattr(rotating_log.os, "replace", stumble)
            log = RotatingLog(path, MAX_BYTES, 20)
            written = 0
            while written < 80:
                try:
                    log.write(numbers_from(written, 1))
                    written += 1
                except Killed:  # what was about to be written is gone with the process
                    log = RotatingLog(path, MAX_BYTES, 20)
            monkeypatch.setattr(rotating_log.os, "replace", replace)
            assert lines(path) == numbers_from(0, 80).splitlines()
            assert rotated_numbers(path) == list(range(1, 8))


def test_a_gap_is_closed_before_anything_is_dropped(path, log):
    log.write(numbers_from(0, 40))
    os.unlink(numbered(path, 2))
    log.write(numbers_from(40, 1))
    assert rotated_numbers(path) == [1, 2, 3]
    assert lines(path) == numbers_from(0, 10).splitlines() + numbers_from(20, 21).splitlines()


def test_fewer_files_are_kept_than_before(path, log):
    log.write(numbers_from(0, 40))
    log.close()
    RotatingLog(path, MAX_BYTES, 1).write(numbers_from(40, 1))
    assert rotated_numbers(path) == [1]
    assert lines(path) == numbers_from(30, 11).splitlines()


def test_what_only_looks_alike_is_left_alone(path, log):
    strangers = [path + suffix for suffix in (".0", ".01", ".1.gz", ".old", "x.1")]
    for stranger in strangers:
        open(stranger, "wb").close()
    log.write(numbers_from(0, 200))
    assert rotated_numbers(path) == [1, 2, 3] and all(map(os.path.exists, strangers))


@pytest.mark.parametrize("how", ["moved", "removed", "emptied"])
def test_a_log_that_somebody_else_rotates(path, log, how):
    log.write(numbers_from(0, 3))
    if how == "moved":
        os.rename(path, path + ".old")
    elif how == "removed":
        os.unlink(path)
    else:
        os.truncate(path, 0)
    log.write(numbers_from(3, 10))
    assert lines(path) == numbers_from(3, 10).splitlines() and not rotated_numbers(path)


def test_nobody_else_may_read_it(path, log):
    before = os.umask(0)
    try:
        log.write("secret\n")
    finally:
        os.umask(before)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_lines_that_cannot_be_written_are_counted_and_told_of(path, log):
    log.write("one\n")
    directory = os.path.dirname(path)
    os.rename(directory, directory + ".away")
    log.write("two\nthree\n")
    log.write("four\n")
    os.rename(directory + ".away", directory)
    log.write("five\n")
    log.write("six\n")
    first, notice, *rest = lines(path)
    assert (first, rest) == ("one", ["five", "six"])
    assert re.search(r"service_runner: 3 lines were lost between \S+ and now: No such file", notice)


def test_the_disk_fills_up_in_the_middle_of_a_line(path, log, monkeypatch):
    write = os.write

    def full(descriptor, data):
        if full.room == 0:
            raise OSError(28, "No space left on device")
        done = write(descriptor, data[: full.room])
        full.room -= done
        return done

    full.room = 24
    with monkeypatch.context() as patch:
        patch.setattr(rotating_log.os, "write", full)
        log.write(numbers_from(0, 3))  # 10 + 10 + 4 bytes
        log.write(numbers_from(3, 3))
    log.write(numbers_from(6, 1))
    assert lines(path)[:3] == [*numbers_from(0, 2).splitlines(), "0000"]
    assert "4 lines were lost" in lines(path)[3] and lines(path)[4:] == ["000000006"]


def test_a_rotation_that_fails_costs_lines_not_more_space(path, log, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(rotating_log.os, "replace", refuse)
        for number in range(20):
            log.write(numbers_from(number, 1))
    assert os.path.getsize(path) == MAX_BYTES and not rotated_numbers(path)
    log.write(numbers_from(20, 1))
    assert lines(path)[:10] == numbers_from(0, 10).splitlines() and "10 lines were lost" in lines(path)[10]
    assert lines(path)[-1] == "000000020"


def test_a_pipe_in_the_place_of_the_log_holds_nobody_up(path, log):
    os.mkfifo(path)
    log.write("one\n")
    os.unlink(path)
    log.write("two\n")
    notice, *rest = lines(path)
    assert rest == ["two"] and "1 lines were lost" in notice and "it is no file" in notice
