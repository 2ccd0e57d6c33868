# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the role runs as root, against an installation whose user attacks it: nothing outside changes, nothing that the
user could have written runs as root, and no file of root's is read out.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.base.privileges import as_user
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.manifest import Manifest
from ansible_collections.macos_setup.llm.plugins.module_utils.ownership.marker import MANAGED_BY
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollout import open_rollout, paths_of
from support.macos.settable import SettableMac
from support.modules import run_module
from support.paths import REPOSITORY
from support.service_plan import render, service_plan

pytestmark = [pytest.mark.processes, pytest.mark.skipif(os.geteuid() != 0, reason="root is attacked")]

USER = pwd.getpwnam("nobody")
SECRET = "the-secret-of-root"


class Attacked:
    """``home`` is the user's installation, ``daemons`` root's directory, ``victim`` a file of root's."""

    def __init__(self, directory):
        self.directory = directory
        self.daemons, self.home, self.victim = directory / "daemons", directory / "llm", directory / "victim"
        for path in (self.daemons, self.home):
            path.mkdir(mode=0o755)
        self.victim.write_text(SECRET + "\n")
        self.victim.chmod(0o600)
        self.service_dir, self.engine_dir = self.home / "service", self.home / "engine"
        self.ran_as = self.home / "ran-as"
        self.release("b1-0123456789ab")
        self.release("b2-0123456789ab")
        self.service_dir.mkdir()
        (self.engine_dir / "current").symlink_to("releases/b2-0123456789ab")
        self.write("manifest.json", '{"made": {}}')
        self.give_away()
        self.launchctl = self.program(directory / "launchctl", "exit 113")
        self.before = self.outside()

    def write(self, name, text=""):
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def link(self, name, target=None):
        path = self.home / name
        path.unlink(missing_ok=True)
        path.symlink_to(target or self.victim)
        os.lchown(path, USER.pw_uid, USER.pw_gid)

    def program(self, path, script):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def release(self, name):
        """One whose server tells as whom it runs, and passes no test."""
        directory = self.engine_dir / "releases" / name
        self.program(directory / "bin" / "llama-server", f"id -u >> {self.ran_as}; exit 1")
        (directory / "stamp.json").write_text('{"programs": ["llama-server"], "build_info": "x", "selftest": {}}')

    def give_away(self):
        for path in (self.home, *self.home.rglob("*")):
            os.lchown(path, USER.pw_uid, USER.pw_gid)

    def outside(self):
        found = self.victim.lstat()
        return self.victim.read_text(), found.st_uid, found.st_gid, found.st_mode, os.listdir(self.daemons)

    def is_unharmed(self):
        """Whether all that is root's is as it was, and nothing of the user's ran as root."""
        ran = self.ran_as.read_text().split() if self.ran_as.exists() else []
        return self.outside() == self.before and set(ran) <= {str(USER.pw_uid)}

    def plist(self):
        plan = service_plan(self.home, manager="launchd", scope="system", domain="system", user=USER.pw_name)
        return render("com.llama.server.plist.j2", plan)

    def rollout(self, **changes):
        return {
            "engine_dir": str(self.engine_dir),
            "release": None,
            "files": {str(self.service_dir / "runner.json"): "{}"},
            "record": str(self.service_dir / "proven.json"),
            "keep_releases": 1,
            "health": {"url": "http://127.0.0.1:9", "timeout": 1, "log_file": str(self.home / "log")},
            **changes,
        }

    def launchd_service(self, **options):
        arguments = {
            "label": "com.llama.server",
            "plist": str(self.daemons / "com.llama.server.plist"),
            "domains": ["system"],
            "launchctl": str(self.launchctl),
            "manifest": str(self.home / "manifest.json"),
            "log_file": str(self.home / "log"),
            "output_file": str(self.home / "output"),
            "user": USER.pw_name,
            "home": str(self.home),
            "rollout": self.rollout(),
            "settle": 0,
            **options,
        }
        return run_module("launchd_service", arguments)


@pytest.fixture
def attacked():
    directory = Path(tempfile.mkdtemp(prefix="rt"))
    directory.chmod(0o755)
    yield Attacked(directory.resolve())
    shutil.rmtree(directory)


LINKS = ["manifest.json", "manifest.json.lock", "engine/current", "log", "output"]
LINKS += ["service/" + name for name in ("proven.json", "proven.json.lock", "runner.json")]


@pytest.mark.parametrize(
    ("state", "links"),
    # One by one where the first of them may end the module.
    [*(("started", [link]) for link in LINKS), ("stopped", LINKS[2:]), ("absent", LINKS)],
)
def test_no_link_leads_the_module_of_a_daemon_to_a_file_of_roots(attacked, state, links):
    for link in links:
        attacked.link(link)
    answer = attacked.launchd_service(state=state, content=None if state == "absent" else attacked.plist())
    with contextlib.suppress(FileNotFoundError):
        (attacked.daemons / "com.llama.server.plist").unlink()
    assert attacked.is_unharmed()
    assert SECRET not in json.dumps(answer)


def test_a_directory_of_roots_in_the_place_of_the_users_is_not_worked_in(attacked):
    theirs = attacked.directory / "theirs"
    theirs.mkdir()
    shutil.rmtree(attacked.service_dir)
    attacked.link("service", theirs)
    attacked.launchd_service(state="stopped", content=attacked.plist())
    assert list(theirs.iterdir()) == []


@contextlib.contextmanager
def racer(path, victim):
    """A process of the user that makes ``path`` by turns a link to ``victim`` and a file of its own."""
    pid = os.fork()
    if pid:
        try:
            yield
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return
    os.setgid(USER.pw_gid)
    os.setuid(USER.pw_uid)
    mine = f"{path}.mine"
    while True:
        for make in (lambda: os.symlink(victim, mine), lambda: Path(mine).write_text('{"made": {}}')):
            with contextlib.suppress(OSError):
                make()
                os.replace(mine, path)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.json.lock"])
def test_swapping_files_for_links_all_the_time_does_not_help(attacked, name):
    with racer(attacked.home / name, attacked.victim):
        for number in range(60):
            with contextlib.suppress(LlamaCppError):
                as_user(USER.pw_name, Manifest(str(attacked.home / "manifest.json")).note, {f"/x/{number}": "file"})
    assert attacked.is_unharmed()


class Service:
    user = USER.pw_name

    def status(self):
        return {"running": True}


@contextlib.contextmanager
def listener():
    """(url, what was said to it) of somebody who has taken the server's port."""
    said = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = server.accept()
                    with connection:
                        said.append(connection.recv(65536).decode())
                        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"status":"ok"}')

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", said
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_key_file_that_leads_to_a_file_of_roots_is_not_sent_to_anybody(attacked):
    attacked.link("service/api-key")
    with listener() as (url, said):
        health = {"url": url, "api_key_file": str(attacked.service_dir / "api-key"), "timeout": 5}
        change = open_rollout(attacked.rollout(health=health), lambda stage: None, Service())
        with pytest.raises(LlamaCppError, match="Permission denied"):
            change.verify(Service())
    assert SECRET not in "".join(said)


def test_what_the_record_says_is_asked_and_run_as_the_user(attacked):
    evil = attacked.program(attacked.home / "evil", f"id -u >> {attacked.ran_as}")
    with listener() as (url, _said):
        health = {"url": url, "server": str(evil), "timeout": 5, "expected_device": "x"}
        record = {"release": "b1-0123456789ab", "files": {str(attacked.victim): "mine"}, "health": health}
        attacked.write("service/proven.json", json.dumps(record))
        attacked.give_away()
        change = open_rollout(attacked.rollout(), lambda stage: None, Service())
        with pytest.raises(LlamaCppError):
            change.undo()
        record["files"] = {}
        attacked.write("service/proven.json", json.dumps(record))
        assert change.undo()
        with pytest.raises(LlamaCppError):
            change.verify(Service())
    assert attacked.is_unharmed()


def test_what_is_rolled_out_belongs_to_the_user(attacked):
    change = open_rollout(attacked.rollout(release="b1-0123456789ab"), lambda stage: None, Service())
    with change.exclusively():
        change.apply()
        change.confirm()
    made = ["engine/current", "service/proven.json", "service/proven.json.lock", "service/runner.json"]
    assert {(attacked.home / name).lstat().st_uid for name in made} == {USER.pw_uid}


def test_going_back_runs_no_program_of_the_user_as_root(attacked):
    for name in ("selftest.gguf", "answers.json"):
        shutil.copy(REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / name, attacked.home)
    attacked.write("service/proven.json", '{"previous": "b1-0123456789ab", "release": "b2-0123456789ab"}')
    attacked.give_away()
    service = {
        "manager": "launchd",
        "name": "com.llama.server",
        "definition": str(attacked.daemons / "com.llama.server.plist"),
        "domains": ["system"],
        "launchctl": str(attacked.launchctl),
        "user": USER.pw_name,
    }
    selftest = {"model": str(attacked.home / "selftest.gguf"), "answers": str(attacked.home / "answers.json")}
    settings = {"rollout": attacked.rollout(files=[]), "arguments": [], "selftest": {**selftest, "device": None}}
    answer = run_module("engine_rollback", {"service": service, "settings": settings})
    assert answer["failed"], answer
    assert attacked.ran_as.exists(), answer
    assert attacked.is_unharmed()


def test_uninstalling_as_root_does_not_believe_a_users_manifest(attacked):
    """Neither whom it calls launchctl nor what it calls a tree of ours."""
    evil = attacked.program(attacked.home / "evil", f"id -u >> {attacked.ran_as}; exit 113")
    job = {"kind": "service", "manager": "launchd", "name": "x", "domain": "system", "launchctl": str(evil)}
    made = {str(attacked.daemons / "x.plist"): job, str(attacked.daemons): {"kind": "tree"}}
    attacked.write("manifest.json", json.dumps({"made": made}))
    attacked.give_away()
    answer = run_module("uninstall", {"manifest": str(attacked.home / "manifest.json")})
    assert answer["failed"] and "belongs to nobody" in answer["msg"]
    assert attacked.is_unharmed() and not attacked.ran_as.exists()


def test_root_runs_no_launchctl_that_a_user_can_change(attacked):
    evil = attacked.program(attacked.home / "launchctl", f"id -u >> {attacked.ran_as}; exit 113")
    answer = attacked.launchd_service(launchctl=str(evil), content=attacked.plist())
    assert answer["failed"] and "others than root" in answer["msg"]
    assert not attacked.ran_as.exists() and os.listdir(attacked.daemons) == []


def test_the_settings_of_the_mac_are_told_by_files_of_roots_alone(attacked):
    """A manifest that says that a setting is ours changes nothing."""
    programs = attacked.directory / "programs"
    programs.mkdir()
    mac = SettableMac(programs)
    attacked.write("manifest.json", '{"made": {}, "before": {"pmset autorestart": 0}}')
    paths = {"plist": str(attacked.daemons / "com.llama.wired-limit.plist"), "sysctl": mac.sysctl, "pmset": mac.pmset}
    answer = run_module("mac_settings", {**paths, "record": str(attacked.daemons / "settings.json")})
    assert answer["changed"] is False and mac.told == []


def test_root_keeps_out_of_a_users_place_whether_he_is_named_or_not(attacked):
    """Neither a plist there, nor a release and files for it."""
    theirs = str(attacked.home / "com.llama.server.plist")
    Path(theirs).write_text("")
    nothing = dict.fromkeys(("user", "manifest", "log_file", "output_file"))
    ours = {"engine_dir": None, "record": None, "files": {}, "health": {}}
    named = [{"engine_dir": theirs}, {"record": theirs}, {"files": {theirs: ""}}, {"health": {"api_key_file": theirs}}]
    assert all(theirs in paths_of({**ours, **rollout}) for rollout in named)
    for options in ({"plist": theirs}, nothing):
        answer = attacked.launchd_service(content=attacked.plist(), **options)
        assert answer["failed"] and "others than root" in answer["msg"], answer
    service = {"manager": "launchd", "user": USER.pw_name, "definition": theirs}
    settings = {"rollout": attacked.rollout(files=[]), "selftest": {"model": theirs, "answers": theirs}}
    for answer in (
        run_module("engine_rollback", {"service": service, "settings": settings}),
        run_module("mac_settings", {"plist": theirs}),
        run_module("mac_settings", {"sysctl": theirs}),
    ):
        assert answer["failed"] and "others than root" in answer["msg"], answer
    assert attacked.is_unharmed()


def test_pipes_in_the_paths_of_a_users_files_hold_nobody_up(attacked):
    for name in ("log", "output", "service/proven.json", "service/runner.json"):
        os.mkfifo(attacked.home / name)
    attacked.give_away()
    answer = attacked.launchd_service(content=attacked.plist())
    assert answer["failed"] and "runner.json: It is no file. Something else stands there" in answer["msg"], answer
    assert attacked.is_unharmed()


FOREIGN_DAEMONS = {
    "without a HOME": lambda text: text.replace("<key>HOME</key>", "<key>HOUSE</key>"),
    "without our mark": lambda text: text.replace(MANAGED_BY, "Managed by somebody"),
}


@pytest.mark.parametrize("change", FOREIGN_DAEMONS)
def test_a_daemon_that_is_not_ours_is_not_removed(attacked, change):
    """Although the user says so in his manifest: the name alone makes nobody's file ours."""
    plist = attacked.daemons / "com.llama.server.plist"
    plist.write_text(FOREIGN_DAEMONS[change](attacked.plist()))
    answer = attacked.launchd_service(state="absent")
    assert answer["changed"] is False and "Nothing was changed" in answer["msg"]
    assert plist.exists()


def test_a_daemon_of_another_user_is_left_alone(attacked):
    theirs = attacked.daemons / "com.llama.server.plist"
    theirs.write_text(attacked.plist().replace(str(attacked.home), "/Users/somebody"))
    before = theirs.read_text()
    removed = attacked.launchd_service(state="absent")
    assert removed["changed"] is False and "/Users/somebody" in removed["msg"]
    started = attacked.launchd_service(state="started", content=attacked.plist())
    assert started["failed"] and "/Users/somebody" in started["msg"]
    assert theirs.read_text() == before
