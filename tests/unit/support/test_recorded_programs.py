# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The programs that answer as recorded say what was recorded, and nothing else."""

import subprocess

from support.recorded_programs import recorded_program, recorded_sysctl


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout, done.returncode


def test_an_answer_for_its_arguments_only(tmp_path):
    answers = {"-g": "one\n 'two' $x %s\n", "status -v": ("three", 1), "": "nothing asked"}
    program = recorded_program(tmp_path / "a program", answers)
    assert run(program, "-g") == ("one\n 'two' $x %s\n", 0)
    assert run(program, "status", "-v") == ("three", 1)
    assert run(program) == ("nothing asked", 0)
    assert run(program, "status") == ("", 70)


def test_a_sysctl_that_does_not_know_a_name(tmp_path):
    program = recorded_sysctl(tmp_path / "sysctl", {"hw.memsize": 1024})
    assert run(program, "-n", "hw.memsize") == ("1024\n", 0)
    assert run(program, "-n", "hw.other")[1] != 0
