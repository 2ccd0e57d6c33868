# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT

import os
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.processes import alive
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until


def python(code, *words):
    return [sys.executable, "-c", code, *words]


def test_output_is_returned_and_seen_line_by_line():
    seen = []
    code = "import sys; print('one'); print('two', file=sys.stderr)"
    assert set(commands.check(python(code), "It", "Do.", on_line=seen.append).split("\n")) == {"one", "two"}
    assert sorted(seen) == ["one", "two"]


def test_failure_tells_what_the_last_lines_and_the_remedy():
    code = "for i in range(100): print('line', i)\nraise SystemExit(7)"
    with pytest.raises(LlamaCppError) as error:
        commands.check(python(code), "Compiling", "Run it again.")
    text = str(error.value)
    assert "Compiling" in text and "7" in text and "Run it again." in text
    assert "line 99" in text and "line 10\n" not in text


def test_a_console_script_of_an_environment_is_started_by_its_python(tmp_path):
    home = tmp_path / "a $(id)"
    cmake, ninja, python = (home / "bin" / name for name in ("cmake", "ninja", "python"))
    cmake.parent.mkdir(parents=True)
    for program, head in ((cmake, "#!/bin/sh\n"), (ninja, "\x7fELF"), (python, "\x7fELF")):
        program.write_text(head)
        program.chmod(0o755)
    assert commands.starting(str(cmake)) == [str(cmake)]  # there is no environment around it
    (home / "pyvenv.cfg").touch()
    assert commands.starting(str(cmake)) == [str(python), str(cmake)]
    assert commands.starting(str(ninja)) == [str(ninja)]
    assert commands.starting(str(home / "bin" / "none")) == [str(home / "bin" / "none")]


def test_what_it_printed_is_told_without_the_secrets_of_addresses():
    with pytest.raises(LlamaCppError) as error:
        commands.check(python("print('https://sam:s3cret@h/a?s3cret'); raise SystemExit(1)"), "It", "Do.")
    assert "https://h/a" in str(error.value) and "s3cret" not in str(error.value)


def test_no_module_comes_from_the_directory_that_the_play_was_started_in(tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("print('a stranger')")
    monkeypatch.chdir(tmp_path)
    for code in ("import pip; print(pip.__file__)", "import os; print(os.getcwd())"):
        for found in (commands.output_of(python(code)), commands.check(python(code), "It", "Do.")):
            assert found is not None and "a stranger" not in found and str(tmp_path) not in found


def test_a_program_that_is_not_there():
    with pytest.raises(LlamaCppError, match="/no/such/program"):
        commands.check(["/no/such/program"], "It", "Do.")
    assert commands.output_of(["/no/such/program"]) is None
    assert commands.output_of(python("raise SystemExit(1)")) is None


def test_everything_it_started_ends_with_it():
    child = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    code = child + "print(p.pid, flush=True); p.wait()"
    pids = []

    def stop(line):
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commands.check(python(code), "It", "Do.", on_line=stop)
    assert wait_until(lambda: not alive(pids[0]), 10)


def test_the_usual_places_are_searched_behind_the_path(monkeypatch, tmp_path):
    program = tmp_path / "special-tool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin")
    assert commands.find("special-tool") is None
    assert commands.find("special-tool", first=[str(tmp_path)]) == str(program)
    searched = commands.search_path().split(os.pathsep)
    assert searched[0] == "/usr/bin"
    assert "/opt/homebrew/bin" in searched
