# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What only the host knows of a service: the fingerprint of its server, and the session of its domain."""

import os
import plistlib

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.service.host_values import (
    FINGERPRINT,
    SESSION,
    filled,
    fingerprint_of,
    session_of,
)
from support.service_plan import render, service_plan


class Server:
    """What a server depends on."""

    def __init__(self, directory):
        self.engine_dir, self.model = directory / "engine", directory / "model.gguf"
        self.engine_dir.mkdir()
        self.serve_with("b1")
        self.model.write_text("one")
        self.values, self.release = {"arguments": ["--parallel", "2"]}, None

    def serve_with(self, release):
        link = self.engine_dir / "current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"releases/{release}")

    def replace_model(self, text):
        new = self.model.with_name("new")
        new.write_text(text)
        os.replace(new, self.model)

    def fingerprint(self):
        rollout = {"engine_dir": str(self.engine_dir), "release": self.release}
        return fingerprint_of({"values": self.values, "files": [str(self.model)]}, rollout)


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


CHANGES = {
    "a value of the plan": lambda server: server.values.update(arguments=["--parallel", "3"]),
    "another file of the same content": lambda server: server.replace_model("one"),
    "a file that is gone": lambda server: server.model.unlink(),
    "a file that was changed in place": lambda server: server.model.write_text("three"),
    "another release to serve": lambda server: setattr(server, "release", "b2"),
    "another current release": lambda server: server.serve_with("b2"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_thing_that_a_server_depends_on_makes_another_fingerprint(server, change):
    before = server.fingerprint()
    CHANGES[change](server)
    assert server.fingerprint() != before


def test_nothing_else_does(server):
    before = server.fingerprint()
    server.model.with_name("beside").write_text("new")
    os.chmod(server.model, 0o600)
    (server.engine_dir / "releases").mkdir()
    server.values = dict(reversed(server.values.items()))
    assert server.fingerprint() == before and len(before) == 64


def test_the_release_that_is_going_to_serve_counts_as_the_one_that_does(server):
    """Or a play that was killed between the switch and the proof would restart once more."""
    server.release = "b2"
    before = server.fingerprint()
    server.serve_with("b2")
    server.release = None
    assert server.fingerprint() == before


@pytest.mark.parametrize("domain", ["gui/501", "user/501"])
def test_a_plist_has_the_session_of_the_domain(tmp_path, domain):
    plan = service_plan(tmp_path)
    plan["service"]["placeholders"] = {"fingerprint": FINGERPRINT, "session": SESSION}
    text = render("com.llama.server.plist.j2", plan)
    job = plistlib.loads(filled(text, {SESSION: session_of(domain), FINGERPRINT: "f" * 64}).encode())
    assert job["LimitLoadToSessionType"] == {"gui/501": "Aqua", "user/501": "Background"}[domain]
    assert job["EnvironmentVariables"]["LLAMA_CPP_SERVICE_FINGERPRINT"] == "f" * 64


@pytest.mark.parametrize("template", ["com.llama.server.plist.j2", "supervisord.conf.j2"])
def test_a_path_with_the_words_of_a_placeholder_stays_as_it_is(tmp_path, template):
    plan = service_plan(tmp_path / FINGERPRINT)
    expected = render(template, plan)
    plan["service"]["placeholders"] = {"fingerprint": FINGERPRINT, "session": SESSION}
    values = {FINGERPRINT: "0123456789abcdef" * 4, SESSION: "Aqua"}
    assert filled(render(template, plan), values) == expected and FINGERPRINT in expected
