# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The service runner as a process, with real servers: its log, its environment, and what it is told."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes
from ansible_collections.macos_setup.llm.plugins.module_utils.base.wait import wait_until
from ansible_collections.macos_setup.llm.plugins.module_utils.llama.log_causes import diagnose
from support.runner_host import PATIENCE, RunnerHost, said

pytestmark = pytest.mark.processes

LINES = 40_000


@pytest.fixture
def hosts(tmp_path):
    with contextlib.ExitStack() as made:
        yield lambda on_term="exit": made.enter_context(contextlib.closing(RunnerHost(tmp_path, on_term)))


@pytest.fixture
def host(hosts):
    return hosts()


# -- the log ----------------------------------------------------------------------------------------------------------


def test_under_load_rotations_lose_and_double_no_line(host):
    host.config["rotation"] = {"max_bytes": 200_000, "keep": 100}
    assert host.run(f"say {LINES}", "exit 0") == 0
    assert host.server_lines() == ["ready", *said(LINES)]
    sizes = [path.stat().st_size for path in host.files()]
    assert len(sizes) > 3 and max(sizes) <= 200_000


def test_the_total_size_is_bounded_and_the_end_is_kept(host):
    host.config["rotation"] = {"max_bytes": 50_000, "keep": 2}
    assert host.run(f"say {LINES}", "exit 0") == 0
    assert len(host.files()) == 3 and all(path.stat().st_size <= 50_000 for path in host.files())
    kept = host.server_lines()
    assert len(kept) > 1000 and kept == said(LINES)[-len(kept) :]


def test_a_line_is_in_the_log_as_soon_as_it_is_printed(host):
    host.start_talking()
    for number in range(20):
        host.tell_and_wait(f"print {number}")
        host.wait_for(str(number))


def test_what_is_no_text_and_has_no_end(host):
    host.run(f"bytes {b'a'.hex()}ff{b'b'.hex()}0a", f"bytes {('é' * 30_000).encode().hex()}", "exit 0")
    assert host.server_lines() == ["ready", "a\\xffb", "é" * 30_000]


def test_the_last_line_before_a_crash_is_there_although_nothing_ended_it(host):
    assert host.run(f"say {LINES}", f"bytes {b'last'.hex()}", f"die {signal.SIGABRT}") == 128 + signal.SIGABRT
    assert host.server_lines() == ["ready", *said(LINES), "last"]


def test_others_may_hold_the_output_open(host):
    """A router's children do: the end of the server is the end, not the end of the pipe."""
    host.config["argv"] = ["/bin/sh", "-c", "sleep 600 & echo $!; exit 3"]
    runner = host.start()
    assert runner.wait(PATIENCE) == 3
    assert not processes.alive(int(host.server_lines()[0]))


def test_the_keys_reach_the_environment_and_nothing_else(host, tmp_path):
    (tmp_path / "key").write_text("# both\ns3cret\nwith,comma\n")
    (tmp_path / "key").chmod(0o600)
    host.config["key_files"] = {"LLAMA_API_KEY": str(tmp_path / "key")}
    host.run("environment", "exit 0")
    (line,) = [line for line in host.server_lines() if line.startswith("{")]
    assert json.loads(line)["LLAMA_API_KEY"] == 's3cret,"with,comma"'
    assert "s3cret" not in "".join(host.runner_lines()) + json.dumps(host.state())


@pytest.mark.parametrize("content", ["", "s3cret \n"])
def test_no_server_is_started_without_the_keys_it_shall_have(host, tmp_path, content):
    (tmp_path / "key").write_text(content)
    (tmp_path / "key").chmod(0o600)
    host.config["key_files"] = {"LLAMA_API_KEY": str(tmp_path / "key")}
    assert host.start().wait(PATIENCE) == 1
    assert host.server_lines() == [] and "s3cret" not in host.text()
    assert str(tmp_path / "key") in host.text()


@pytest.mark.parametrize("option", ["--api-key-file", "--ssl-key-file", None])
def test_no_server_is_started_with_a_secret_that_is_open_to_others(host, tmp_path, option):
    (tmp_path / "key").write_text("s3cret\n")
    (tmp_path / "key").chmod(0o644)
    if option:
        host.config["argv"] += [option, str(tmp_path / "key")]
    else:
        host.config["key_files"] = {"LLAMA_API_KEY": str(tmp_path / "key")}
    assert host.start().wait(PATIENCE) == 1
    assert host.server_lines() == [] and "s3cret" not in host.text()
    cause = diagnose(host.text().splitlines())
    assert "is open to other users (mode 0644)" in cause.cause and "chmod 600" in cause.remedy


@pytest.mark.parametrize("content", ["", "# none yet\n", " \n", None])
def test_nor_is_one_that_reads_its_key_file_itself(host, tmp_path, content):
    """llama-server takes a file without a key for the wish to be open to all."""
    key_file = tmp_path / "key"
    if content is None:
        key_file.mkdir()
    else:
        key_file.write_text(content)
    host.config["argv"] = [sys.executable, "-c", "print('open')", "--api-key-file", str(key_file)]
    assert host.start().wait(PATIENCE) == 1
    assert host.server_lines() == []
    state = host.state()  # which llm-manager status tells, from the first attempt on
    assert not state["held"] and str(key_file) in state["why"] and "llm-manager start" in state["why"]


def test_a_model_that_cannot_be_read_is_told_instead_of_waited_for(host, tmp_path):
    host.config["inputs"] = [str(tmp_path)]  # a directory cannot be read even by root
    assert host.start().wait(PATIENCE) == 1
    host.config["fast_exit"]["limit"] = 1
    assert host.start().wait(PATIENCE) == 0
    assert host.server_lines() == []
    cause = diagnose(host.text().splitlines())
    assert str(tmp_path) in cause.cause and "Is a directory" in cause.cause and cause.remedy.startswith("To see it")
    assert "cannot be read: Is a directory" in host.state()["why"]


def test_as_many_files_under_every_manager_and_no_dump_of_its_memory(host):
    limits = "[r.getrlimit(limit)[0] for limit in (r.RLIMIT_NOFILE, r.RLIMIT_CORE)]"
    host.config["argv"] = [sys.executable, "-c", f"import resource as r; print({limits})"]
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)

    assert host.start(preexec_fn=limit).wait(PATIENCE) == 0
    assert host.server_lines() == [str([4096 if hard == resource.RLIM_INFINITY else min(4096, hard), 0])]


def test_what_is_missing_the_server_says_itself(host, tmp_path):
    host.config["inputs"] = [str(tmp_path / "missing.gguf")]
    assert host.run("exit 0") == 0


# -- a log that cannot be written -------------------------------------------------------------------------------------


def test_a_log_without_its_directory_stops_nothing(host):
    host.start_talking()
    host.tell("print before")
    host.wait_for("before")
    shutil.move(host.log.parent, host.directory / "away")
    host.tell_and_wait(f"say {LINES}")
    shutil.move(host.directory / "away", host.log.parent)
    host.tell("print after")
    host.wait_for("after")
    # The last of them may still have been in the pipe.
    first, second, *shown, last = host.server_lines()
    assert (first, second, last) == ("ready", "before", "after")
    assert shown == said(LINES)[LINES - len(shown) :]
    assert host.runner_lines()[-1].startswith(f"{LINES - len(shown)} lines were lost between ")


def test_it_starts_without_a_log(host):
    host.log.parent.rmdir()
    host.start()
    assert wait_until(lambda: (host.state() or {}).get("child"), PATIENCE)
    made = host.directory / "made"
    assert wait_until(lambda: _told(host, f"make {made}"), PATIENCE) and wait_until(made.exists, PATIENCE)
    host.log.parent.mkdir()
    host.tell("print after")
    host.wait_for("after")
    assert "lines were lost" in host.runner_lines()[0]


def _told(host, command):
    """False while nobody listens."""
    try:
        host.tell(command)
    except OSError:
        return False
    return True


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit can be lifted on Linux only")
def test_a_full_disk_stops_nothing_and_every_missing_line_is_counted(host):
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited[1]))

    runner = host.start_talking(preexec_fn=fill_up)
    host.kills = 1  # as a kill, the end of the disk may cut a line off within its time
    host.tell_and_wait(f"say {LINES}")
    resource.prlimit(runner.pid, resource.RLIMIT_FSIZE, unlimited)
    host.tell("print after")
    host.wait_for("after")
    lines = host.lines()
    (notice,) = (place for place, line in enumerate(lines) if "lines were lost" in line)
    wanted = set(said(LINES))
    before, behind = ([line for line in part if line in wanted] for part in (lines[:notice], lines[notice:]))
    assert before == said(LINES)[: len(before)] and behind == said(LINES)[LINES - len(behind) :]
    # A line that was cut off just before its end is shown and yet counted as lost.
    lost = int(lines[notice].split()[1])
    assert lost > 0 and LINES - lost <= len(before) + len(behind) <= LINES - lost + 1


# -- the environment --------------------------------------------------------------------------------------------------


def test_the_server_gets_what_is_configured_and_little_else(host):
    host.config["environment"]["GGML_METAL_NO_RESIDENCY"] = "1"
    foreign = {
        "LLAMA_ARG_PORT": "1",
        "LLAMA_API_KEY": "x",
        "PYTHONPATH": "/x",
        "XDG_CONFIG_HOME": "/x",
        "HOME": "/x",
        "LD_PRELOAD": "",
    }
    known = {"PATH": "/usr/bin:/bin", "LLAMA_CPP_SERVICE_FINGERPRINT": "f" * 64, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    host.start_talking(env={**foreign, **known})
    host.tell_and_wait("environment")
    assert wait_until(lambda: len(host.server_lines()) > 1, PATIENCE)
    assert json.loads(host.server_lines()[1]) == {
        **known,
        "HOME": str(host.directory),
        "GGML_METAL_NO_RESIDENCY": "1",
    }


# -- what runs beside the server --------------------------------------------------------------------------------------


def companion(host):
    """The runner is told to run something beside the server; returns what tells (its own pid, its last argument)."""
    note = host.directory / "companion"
    script = f'echo "$$ $1" >"{note}.new" && mv "{note}.new" "{note}"; exec /bin/sleep 600'
    host.config["beside"] = ["/bin/sh", "-c", script, "companion"]

    def told():
        assert wait_until(note.exists, PATIENCE)
        return [int(word) for word in note.read_text().split()]

    return told


def test_it_is_told_the_servers_process_and_ends_with_the_server(host):
    told = companion(host)
    runner = host.start_talking()
    pid, server = told()
    assert server == host.server_pid() and processes.alive(pid)
    host.tell("exit 3")
    assert runner.wait(PATIENCE) == 3 and not processes.alive(pid)


def test_it_ends_with_a_runner_that_is_killed(host):
    told = companion(host)
    runner = host.start_talking()
    pid, _server = told()
    runner.kill()
    runner.wait()
    assert wait_until(lambda: not processes.alive(pid), PATIENCE)


def test_without_it_the_server_runs_all_the_same(host):
    host.config["beside"] = ["/no/such/program"]
    assert host.run("exit 0") == 0
    assert "/no/such/program cannot be started: No such file or directory" in host.runner_lines()


# -- what it is told --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"argv": []}, "argv"),
        ({"argv": "llama-server"}, "argv"),
        ({"beside": None}, "beside"),
        ({"beside": ["caffeinate", 1]}, "beside"),
        ({"environment": {"A": 1}}, "environment.A"),
        ({"key_files": {"A": 1}}, "key_files.A"),
        ({"rotation": {"max_bytes": 0, "keep": 1}}, "rotation.max_bytes"),
        ({"rotation": {"max_bytes": 1}}, "rotation.keep"),
        ({"fast_exit": {"seconds": -1, "limit": 3, "settle_seconds": 0}}, "fast_exit.seconds"),
        ({"fast_exit": {"seconds": 1, "limit": True, "settle_seconds": 0}}, "fast_exit.limit"),
        ({"stop_secs": 1}, "stop_secs"),
    ],
)
def test_a_configuration_that_is_wrong(host, change, named):
    host.config.update(change)
    runner = host.start()
    _out, err = runner.communicate(timeout=PATIENCE)
    assert runner.returncode == 2 and f"  {named}: " in err.decode()
    assert host.state() is None


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null"])
def test_a_configuration_that_is_none(host, content):
    command = host.command()
    path = command[-1]
    os.unlink(path)
    if content is not None:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(content)
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2 and path in done.stderr.decode()


def test_the_directory_runs_alone_wherever_it_is_copied(host, tmp_path):
    """What lies in it is all that it needs, and no more than that."""
    alone = shutil.copytree(host.command()[2], tmp_path / "a copy", ignore=shutil.ignore_patterns("__pycache__"))
    host.config["argv"] = ["/bin/echo", "hello"]
    command = [sys.executable, "-I", str(alone), *host.command()[3:]]
    assert subprocess.run(command, timeout=PATIENCE, check=False, cwd="/").returncode == 0
    assert host.server_lines() == ["hello"]
    imports = "import sys; sys.path[0] = sys.argv[1]; import core.runner.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", imports, str(alone)], capture_output=True, text=True, check=True)
    imported = {name.replace(".", "/") + ".py" for name in done.stdout.split() if name.count(".") == 2}
    files = {str(path.relative_to(alone)) for path in (alone / "core").rglob("*.py")}
    assert {name for name in imported if name.startswith("core/")} == files
