# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A tag is the commit that it was when it was recorded."""

import os
import subprocess

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import commit as engine_commit
from support.engine_source import EngineSource
from support.modules import run_module

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A repository with a tag, an annotated one, and branches that are called as tags are."""
    source = EngineSource(tmp_path_factory.mktemp("git") / "llama.cpp", "/nowhere")
    source.first = source.commit("first", tag="b1")
    source.second = source.commit("second")
    git = ["git", "-C", source.url, "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run([*git, "tag", "--annotate", "--message", "x", "b2"], check=True)
    subprocess.run([*git, "branch", "b3"], check=True)
    subprocess.run([*git, "branch", "refs/tags/b4"], check=True)
    subprocess.run([*git, "branch", "b1", source.second], check=True)
    return source


def test_a_tag_is_a_commit_whatever_kind_of_tag_it_is(source):
    assert engine_commit.commit_of(source.url, "b1", "Linux") == source.first
    assert engine_commit.commit_of("file://" + source.url, "b2", "Linux") == source.second


@pytest.mark.parametrize("tag", ["b3", "b4", "b999"])
def test_what_is_no_tag_is_refused(source, tag):
    with pytest.raises(LlamaCppError, match=f'has no tag "{tag}"'):
        engine_commit.commit_of(source.url, tag, "Linux")


def test_a_tag_that_was_moved_is_refused_with_both_commits_and_the_remedy(source):
    arguments = {"url": source.url, "tag": "b1", "system": "Linux", "lock_file": "/etc/llm.lock.json"}
    assert run_module("engine_commit", {**arguments, "commit": source.first})["commit"] == source.first
    result = run_module("engine_commit", {**arguments, "commit": source.second})
    assert result["failed"]
    for word in (source.first, source.second, "/etc/llm.lock.json", "llama_cpp_update_lock=true", "engine.version"):
        assert word in result["msg"]


def test_an_address_is_no_option_and_its_secret_stays_hidden(tmp_path):
    marker = tmp_path / "executed"
    with pytest.raises(LlamaCppError):
        engine_commit.commit_of(f"--upload-pack=touch {marker}", "b1", "Linux")
    assert not marker.exists()
    with pytest.raises(LlamaCppError, match=r"127\.0\.0\.1:1/x") as caught:
        engine_commit.commit_of("http://sam:geheim@127.0.0.1:1/x", "b1", "Linux")
    assert "geheim" not in str(caught.value)


def test_without_git_nothing_is_asked(tmp_path, monkeypatch):
    """On a Mac without Apple's tools /usr/bin/git is a stub that opens a dialog."""
    monkeypatch.setattr(engine_commit.commands, "find", lambda _name: "/usr/bin/git")
    with pytest.raises(engine_commit.NoGit):
        engine_commit.commit_of("/x", "b1", "Darwin", xcode_select=str(tmp_path / "none"))
    hidden = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    arguments = {"url": "/x", "tag": "b1", "system": "Linux"}
    if any(os.path.exists(os.path.join(place, "git")) for place in ("/usr/local/bin", "/opt/homebrew/bin")):
        pytest.skip("git is where it is always looked for")
    assert run_module("engine_commit", {**arguments, "ignore_missing_git": True}, environment=hidden)["commit"] is None
    assert run_module("engine_commit", arguments, environment=hidden)["failed"]


def test_a_check_is_not_stopped_by_a_repository_that_is_out_of_reach(tmp_path):
    arguments = {"url": str(tmp_path / "nowhere"), "tag": "b1", "system": "Linux"}
    result = run_module("engine_commit", arguments, check=True)
    assert result["commit"] is None and "nowhere" in result["warnings"][0]
    assert run_module("engine_commit", arguments)["failed"]
