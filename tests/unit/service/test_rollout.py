# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A change of the service under a real supervisord: it stays when the server answers, and otherwise goes back."""

import json
import os
import tempfile

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from ansible_collections.macos_setup.llm.plugins.module_utils.llama import readiness
from ansible_collections.macos_setup.llm.plugins.module_utils.service import rollout
from ansible_collections.macos_setup.llm.plugins.module_utils.service.converge import converge
from ansible_collections.macos_setup.llm.plugins.module_utils.service.rollout import AddressTaken, NoRollout, Rollout
from support.scripted_server import SILENCE, ScriptedServer
from support.supervised_server import SUPERVISORD, SupervisedServer

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(SUPERVISORD is None, reason="supervisor is not installed here"),
]


class Switching:
    """The service, its launcher as the file that changes with it, and releases that only have a name."""

    def __init__(self, root):
        self.server = SupervisedServer(root)
        self.launcher = os.path.join(root, "service", "llama-server.sh")
        self.record = os.path.join(root, "service", "proven.json")
        self.engine_dir = os.path.join(root, "engine")
        for name in ("first", "second", "third"):
            directory = os.path.join(self.engine_dir, "releases", name, "bin")
            os.makedirs(directory)
            for path in (os.path.join(directory, "llama-server"), os.path.join(directory, "..", "stamp.json")):
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write("{}")

    def rollout(self, release, mode):
        before = self.text
        self.server.set_mode(mode)
        wanted = self.text
        if before:
            with open(self.launcher, "w", encoding="utf-8") as stream:
                stream.write(before)
        health = {"url": self.server.url, "api_key_file": str(self.server.key_file), "model": "tiny", "timeout": 30}
        return Rollout(
            {
                "engine_dir": self.engine_dir,
                "release": release,
                "files": {self.launcher: wanted},
                "record": self.record,
                "keep_releases": 2,
                "health": {**health, "log_file": str(self.server.log)},
            }
        )

    def change(self, release, mode="ready", **options):
        return converge(self.server.service, "started", rollout=self.rollout(release, mode), **options)

    @property
    def text(self):
        with open(self.launcher, encoding="utf-8") as stream:
            return stream.read()

    @property
    def serving(self):
        return store.current_release(self.engine_dir)

    def confirmed(self):
        with open(self.record, encoding="utf-8") as stream:
            return json.load(stream)


@pytest.fixture
def switching():
    with tempfile.TemporaryDirectory(prefix="sg") as root:
        made = Switching(os.path.realpath(root))
        try:
            yield made
        finally:
            made.server.close()


def test_from_one_release_to_the_next(switching):
    first = switching.change("first")
    assert (first["changed"], first["gap"], switching.serving) == (True, None, "first")
    assert first["health"]["model"] == "tiny"
    unchanged = switching.change("first")
    assert (unchanged["changed"], unchanged["step"], unchanged["verified"]) == (False, None, True)
    assert unchanged["health"] is None, "it was not asked, and Verify has to"
    second = switching.change("second")
    assert second["gap"]["seconds"] == pytest.approx(second["gap"]["ended"] - second["gap"]["began"], abs=0.01)
    assert second["pid"] != first["pid"]
    assert (switching.serving, switching.confirmed()["previous"]) == ("second", "first")


def test_a_check_tells_and_touches_nothing(switching):
    switching.change("first")
    told = switching.change("second", mode="dies", check=True)
    assert told["changed"]
    assert any((entry["before"], entry["after"]) == ("first\n", "second\n") for entry in told["diff"])
    assert any("FAKE_LLAMA_MODE=dies" in entry["after"] for entry in told["diff"])
    assert switching.serving == "first"
    assert "dies" not in switching.text


@pytest.mark.parametrize("mode", ["dies", "dies-loading"])
def test_what_does_not_serve_gives_way_to_what_did(switching, mode):
    switching.change("first")
    confirmed, text = switching.confirmed(), switching.text
    with pytest.raises(LlamaCppError, match=r"It answers, with the release first\. Downtime: "):
        switching.change("second", mode=mode)
    assert (switching.serving, switching.text, switching.confirmed()) == ("first", text, confirmed)
    assert switching.server.service.status()["running"]


def test_a_first_server_that_does_not_serve_says_why(switching):
    with pytest.raises(LlamaCppError, match="failed to load model"):
        switching.change("first", mode="dies-loading")
    assert not os.path.exists(switching.record)


def test_a_change_that_was_killed_before_it_was_asked_is_confirmed_by_the_next_run(switching):
    switching.change("first")
    change = switching.rollout("second", "dies-loading")
    change.apply()  # and here it was killed: the old server runs on
    assert switching.serving == "second"
    with pytest.raises(LlamaCppError, match="with the release first"):
        converge(switching.server.service, "restarted", rollout=change)
    assert switching.serving == "first"

    switching.rollout("second", "ready").apply()
    switching.server.service.restart()  # and here: the new one runs and nobody asked it
    told = switching.change("second", check=True)
    assert (told["changed"], told["verified"]) == (False, False)
    assert switching.change("second")["changed"] is False
    assert switching.confirmed()["release"] == "second"


def test_a_stopped_service_is_switched_without_a_question(switching):
    switching.change("first")
    converge(switching.server.service, "stopped")
    converge(switching.server.service, "stopped", rollout=switching.rollout("second", "ready"))
    assert (switching.serving, switching.confirmed()["release"]) == ("second", "first")
    assert switching.change("second")["changed"]
    assert switching.confirmed() == {**switching.confirmed(), "release": "second", "previous": "first"}


DAMAGED = {
    "a list": [],
    "files that are a list": {"release": "first", "files": ["x"], "health": {"url": "x"}},
    "a text that is none": {"release": "first", "files": {"/x": 5}, "health": {"url": "x"}},
    "a release that is a list": {"release": ["first"], "files": {}, "health": {"url": "x"}},
    "a question that is a text": {"release": "first", "files": {}, "health": "x"},
    "no question": {"release": "first", "files": {}},
    "the one before is a list": {"previous": [], "release": "first", "files": {}, "health": {"url": "x"}},
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_record_tells_of_nothing_to_go_back_to(tmp_path, damage):
    record = tmp_path / "proven.json"
    record.write_text(json.dumps(DAMAGED[damage]))
    program = tmp_path / "releases" / "first" / "bin" / "llama-server"
    program.parent.mkdir(parents=True)
    program.touch()
    settings = {"engine_dir": str(tmp_path), "files": {}, "record": str(record), "keep_releases": 1, "health": {}}
    change = Rollout(settings)
    assert change.undo() is False and change.unconfirmed()
    change.confirm()
    assert json.loads(record.read_text())["files"] == {}


def test_what_another_version_was_asked_is_left_out_of_the_question(tmp_path, monkeypatch):
    record = tmp_path / "proven.json"
    health = {"url": "http://127.0.0.1:1", "timeout": 3, "of_a_later_version": 1, "expected_build": "b1"}
    record.write_text(json.dumps({"release": "first", "files": {}, "health": health}))
    program = tmp_path / "releases" / "first" / "bin" / "llama-server"
    program.parent.mkdir(parents=True)
    program.touch()
    settings = {"engine_dir": str(tmp_path), "files": {}, "record": str(record), "keep_releases": 1, "health": {}}
    change, asked = Rollout(settings), []
    assert change.undo()
    monkeypatch.setattr(rollout, "check_server", lambda **question: asked.append(question))
    change.verify(None)
    question = {name: value for name, value in asked[0].items() if name != "on_look"}
    assert question == {"url": "http://127.0.0.1:1", "timeout": 3, "expected_build": None}


class Ended:
    """A service that has ended."""

    @staticmethod
    def status():
        return {"running": False}


def test_a_server_that_has_ended_is_not_waited_for_while_a_stranger_on_its_port_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.2)
    settings = {"engine_dir": str(tmp_path), "files": {}, "record": str(tmp_path / "proven.json"), "keep_releases": 1}
    with ScriptedServer(SILENCE) as server, pytest.raises(LlamaCppError, match="ended before it was ready"):
        Rollout({**settings, "health": {"url": server.url, "timeout": 5}}).verify(Ended)


def test_what_serves_is_not_touched_where_the_address_is_taken(switching):
    class Taken(NoRollout):
        def require_address(self, active):
            raise AddressTaken(f"taken, and the service is active: {active}")

    before = switching.change("first")
    for check in (True, False):
        with pytest.raises(AddressTaken, match="active: True"):
            converge(switching.server.service, "restarted", rollout=Taken(), check=check)
    assert switching.server.service.status()["pid"] == before["pid"]
    assert converge(switching.server.service, "stopped", rollout=Taken())["state"]["after"] == "stopped"
