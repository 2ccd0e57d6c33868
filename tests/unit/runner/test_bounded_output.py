# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""However often a start fails, and whatever it prints, the file that the service manager writes to stays small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import errors
from ansible_collections.macos_setup.llm.plugins.module_utils.runner import main as server_runner
from support.service_plan import render, service_plan

LIMIT = {"bytes": 2000, "kept_bytes": 500}
NAMES = ["plain", 'a & b\'s "q" $HOME `id` %s ;#', "ünïcödé"]


@pytest.fixture(params=["llama-server.sh.j2", "llama-watchdog.sh.j2"])
def launcher(request, tmp_path):
    """A launcher whose program prints a line of 100 bytes and fails: (its text, the file that managers write to)."""
    root = tmp_path / NAMES[0]
    return launcher_below(root, request.param)


def launcher_below(root, template):
    plan = service_plan(root, output_limit=LIMIT, python=str(root / "python"))
    plan["service"]["runner"].update(directory=str(root), config=str(root / "runner.json"))
    plan["paths"].update(tools_dir=str(root / "tools"), client_config=str(root / "python"))
    (root / "logs").mkdir(parents=True)
    for python in (root / "python", root / "tools" / "venv" / "bin" / "python"):
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text("#!/bin/sh\nprintf 'Traceback: %080d\\n' $STEP >&2\nexit 1\n")
        python.chmod(0o755)
    return render(template, plan), plan["service"]["output_file"]


def start(text, output, step):
    return subprocess.run(
        ["/bin/sh", "-c", text], stdout=output, stderr=output, env={**os.environ, "STEP": str(step)}, check=False
    ).returncode


def test_a_crash_loop_is_bounded_and_its_end_is_kept(launcher):
    text, path = launcher
    with open(path, "ab") as output:  # as launchd and supervisord hold it, over all starts
        inode, sizes = os.fstat(output.fileno()).st_ino, []
        for step in range(60):
            assert start(text, output, step) == 1
            sizes.append(os.path.getsize(path))
    assert os.stat(path).st_ino == inode
    assert max(sizes) <= LIMIT["bytes"] + 200 and min(sizes[30:]) >= LIMIT["kept_bytes"]
    lines = Path(path).read_text().splitlines()
    assert [int(line.split()[-1]) for line in lines[-5:]] == [55, 56, 57, 58, 59]


@pytest.mark.parametrize("name", NAMES)
def test_its_path_may_hold_anything_and_it_need_not_be_there(tmp_path, name):
    text, path = launcher_below(tmp_path / name, "llama-server.sh.j2")
    done = subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=False, env={"STEP": "0"})
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("Traceback")
    assert not os.path.exists(path)
    with open(path, "wb") as output:
        output.write(b"x" * 5000 + b"\nlast\n")
    subprocess.run(["/bin/sh", "-c", text], capture_output=True, check=False)
    content = Path(path).read_bytes()
    assert len(content) <= LIMIT["kept_bytes"] + 1 and content.endswith(b"\nlast\n")


def test_an_unforeseen_failure_is_told_briefly(monkeypatch, capsys, tmp_path):
    def fail(_path):
        raise ValueError("y" * 10_000_000)

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(server_runner, "read_config", fail)
    try:
        server_runner.main(["--config", str(tmp_path / "runner.json")])
    except ValueError:
        sys.excepthook(*sys.exc_info())
    told = capsys.readouterr().err
    assert len(told) <= errors.TOLD_CHARACTERS + 100
    assert told.startswith("Traceback") and "read_config" in told and "left out" in told
