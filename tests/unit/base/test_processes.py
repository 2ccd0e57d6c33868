# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Finding and ending processes."""

import os
import signal
import subprocess
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"

# What macOS prints: the environment stands behind the command line, separated by nothing but blanks.
PS = """\
    1     0     1 /sbin/launchd
  420     1   420 /opt/llm/bin/llama-server -m /m/a b.gguf HOME=/Users/x SUPERVISOR_SERVER_URL=unix:///r/s.sock
  421   420   420 /opt/llm/bin/llama-server SUPERVISOR_SERVER_URL=unix:///r/s.sock2 A=1
  500     1   500 /usr/bin/python3 /v/supervisord -c /srv/a b/supervisord.conf PATH=/usr/bin
 junk
"""


@pytest.fixture
def started():
    children = []

    def start(*command, **environment):
        child = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


def test_a_process_is_found_by_its_environment_and_arguments(started):
    child = started("/bin/sleep", "600", MARK="a b;c")
    find = processes.find
    assert wait_until(lambda: [p.pid for p in find(lambda p: p.has_environment("MARK", "a b;c"))] == [child.pid], 10)
    assert not find(lambda p: p.has_environment("MARK", "a b;c2") or p.has_environment("MARK", "a b"))
    assert child.pid in [p.pid for p in find(lambda p: p.has_arguments("/bin/sleep", "600"))]
    (found,) = find(lambda p: p.pid == child.pid)
    assert found.parent == os.getpid() and found.group == os.getpgid(child.pid)


def test_the_one_who_looks_is_not_found():
    assert not processes.find(lambda p: p.pid == os.getpid())


def test_what_ps_prints_on_macos_is_read():
    found = list(processes.parse_ps(PS))
    assert [(p.pid, p.parent, p.group) for p in found] == [(1, 0, 1), (420, 1, 420), (421, 420, 420), (500, 1, 500)]
    marked = [p.pid for p in found if p.has_environment("SUPERVISOR_SERVER_URL", "unix:///r/s.sock")]
    assert marked == [420]
    assert [p.pid for p in found if p.has_arguments("/v/supervisord", "-c", "/srv/a b/supervisord.conf")] == [500]
    assert not any(p.has_arguments("/v/supervisord", "-c", "/srv/a") and p.has_arguments("b") for p in found[:3])


def test_a_process_that_ended_but_was_not_collected_is_not_alive(started):
    child = started("/bin/true")
    assert wait_until(lambda: not processes.alive(child.pid), 10)
    assert child.wait() == 0 and not processes.alive(child.pid)
    assert processes.alive(os.getpid()) and processes.alive(1)


def test_ending_is_polite_first(started):
    child = started("/bin/sleep", "600")
    assert processes.end([child.pid], 10) == [] and child.wait() == -signal.SIGTERM


def test_ending_is_certain(started):
    child = started(sys.executable, "-c", STUBBORN)
    child.stdout.readline()
    assert processes.end([child.pid, 2**22 - 1], 0.1) == [] and child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("proc", [processes.PROC, "/nowhere"])  # without it ps is asked, as on macOS
def test_an_identity_stays_with_one_process(started, monkeypatch, proc):
    monkeypatch.setattr(processes, "PROC", proc)
    if proc == "/nowhere" and not os.path.exists("/bin/ps"):
        pytest.skip("there is no ps here")
    child = started("/bin/sleep", "600")
    mine = processes.identity(child.pid)
    assert mine.startswith("%d " % child.pid) and mine == processes.identity(child.pid)
    assert mine.split()[1:] != processes.identity(1).split()[1:]  # a number alone is not enough
    child.kill()
    assert wait_until(lambda: processes.identity(child.pid) is None, 10)


def test_no_words_at_all_do_not_match_every_process():
    with pytest.raises(ValueError, match="every command line"):
        processes.find(lambda process: process.has_arguments())


def test_a_command_line_cannot_steer_the_terminal_that_it_is_shown_on():
    with subprocess.Popen([sys.executable, "-c", "input()", "\x1b[2J\nok"], stdin=subprocess.PIPE) as process:
        try:
            assert wait_until(lambda: processes.command(process.pid).endswith("input() [2Jok"), 10)
        finally:
            process.communicate(b"\n")
