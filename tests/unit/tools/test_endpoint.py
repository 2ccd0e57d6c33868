# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Which server is meant, and which key it gets."""

import pytest
from llm_tools import endpoint
from llm_tools.endpoint import Endpoint
from support.recorded_programs import recorded_program

OWN = "http://127.0.0.1:8080"
CONFIGURED = {"url": OWN, "api_key_file": "/own/key"}
OTHER = "https://llm.example:8443/v1"


@pytest.mark.parametrize(
    "spelling",
    [
        "http://localhost:8080",
        "HTTP://LOCALHOST:8080/",
        "http://127.0.0.1:8080/v1",
        "http://127.0.0.1:8080/v1/",
        "http://[::1]:8080/v1",
        "http://0.0.0.0:8080",
    ],
)
def test_any_spelling_of_the_own_address_is_recognised(spelling):
    found = Endpoint({"LLM_BASE_URL": spelling}, CONFIGURED)
    assert (found.ours, found.url, found.key_source) == (True, OWN, "/own/key")


def test_what_names_the_server_in_this_order():
    environ = {"LLM_BASE_URL": "http://a:1", "OPENAI_BASE_URL": "http://b:1"}
    assert Endpoint(environ, CONFIGURED, "http://c:1").url == "http://c:1"
    assert Endpoint(environ, CONFIGURED).url == "http://a:1"
    del environ["LLM_BASE_URL"]
    assert Endpoint(environ, CONFIGURED).url == OWN
    assert Endpoint(environ, {}).url == "http://b:1"
    assert Endpoint({}, {}).url is None


KEYS = {"LLM_API_KEY": "mine", "OPENAI_API_KEY": "theirs"}


@pytest.mark.parametrize(
    ("environ", "configured", "named", "source"),
    [
        ({}, CONFIGURED, None, "/own/key"),
        ({}, CONFIGURED, OTHER, None),
        (KEYS, CONFIGURED, None, "LLM_API_KEY"),
        (KEYS, CONFIGURED, OTHER, "LLM_API_KEY"),
        ({**KEYS, "LLM_BASE_URL": OTHER}, CONFIGURED, None, "LLM_API_KEY"),
        ({**KEYS, "LLM_BASE_URL": OTHER}, CONFIGURED, "http://third:1", None),
        ({**KEYS, "LLM_BASE_URL": OTHER}, CONFIGURED, OWN, "/own/key"),
        ({**KEYS, "OPENAI_BASE_URL": OTHER}, {}, None, "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "theirs", "OPENAI_BASE_URL": OTHER}, CONFIGURED, None, "/own/key"),
        ({"OPENAI_API_KEY": "theirs", "OPENAI_BASE_URL": OTHER}, CONFIGURED, OTHER, "OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": "theirs", "OPENAI_BASE_URL": OTHER}, CONFIGURED, "http://third:1", None),
        ({"OPENAI_API_KEY": "theirs"}, {}, OTHER, None),
    ],
)
def test_a_key_goes_to_the_server_it_was_given_for(environ, configured, named, source):
    assert Endpoint(environ, configured, named).key_source == source


def test_a_key_file_of_the_command_line_comes_first(tmp_path):
    (tmp_path / "key").write_text("k3y\n")
    found = Endpoint(KEYS, CONFIGURED, OTHER, str(tmp_path / "key"))
    assert (found.key_source, found.key()) == (str(tmp_path / "key"), "k3y")


@pytest.mark.parametrize(("status", "key"), [(0, "k3y"), (44, None)])
def test_the_keychain_of_macos_has_keys_of_other_servers(tmp_path, monkeypatch, status, key):
    asked = "find-generic-password -s llm-client -a llm.example:8443 -w"
    program = recorded_program(tmp_path / "security", {asked: ("k3y\n" if key else "", status)})
    monkeypatch.setattr(endpoint, "SECURITY", program)
    monkeypatch.setattr(endpoint.sys, "platform", "darwin")
    found = Endpoint({}, CONFIGURED, OTHER)
    assert found.key() == key
    (tmp_path / "security").unlink()  # the user is asked once
    assert ("keychain" in (found.key_source or "")) == bool(key)
    assert Endpoint({}, CONFIGURED).key_source == "/own/key"
