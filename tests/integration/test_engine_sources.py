# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Engines from git: by commit and tag, verified, put in service only when they compute."""

import json
import os

from support.engine_source import packed
from support.fault_server import FaultServer
from support.plays import processes_below, recap


def test_by_commit_and_then_by_tag(host, source):
    first = source.commit("first")
    source.commit("second", tag="b42")
    host.config["engine"]["version"] = first
    host.play()
    assert host.answers()
    by_commit = host.release()
    assert by_commit.startswith(f"{first[:7]}-")
    assert not (host.install / "engine" / "src").exists()

    host.config["engine"]["version"] = "b42"
    host.play()
    assert host.answers()
    assert "b42-" in host.release()
    assert (host.install / "engine" / "releases" / by_commit).is_dir(), "the old release is gone"
    stamp = json.loads((host.install / "engine" / "current" / "stamp.json").read_text())
    assert stamp["identity"]["version"] == "b42"
    output = host.play()
    assert recap(output)["changed"] == 0, output


def test_a_commit_that_does_not_exist_changes_nothing(host, source):
    source.commit("first")
    host.config["engine"]["version"] = "0" * 40
    host.play(expect=2)
    assert not (host.install / "engine" / "current").exists()
    assert processes_below(host.install) == []


def test_a_build_that_fails_the_self_test_is_not_put_in_service(host, source):
    host.config["engine"]["version"] = source.commit("good")
    host.play()
    good, serving = host.release(), processes_below(host.install)
    host.config["engine"]["version"] = source.commit("bad", "prints nonsense")
    output = host.play(expect=2)
    assert "Engine | Ask the self-test's questions" in output
    assert host.release() == good
    assert processes_below(host.install) == serving
    assert host.answers()


def test_a_source_that_does_not_compile_changes_nothing(host, source):
    host.config["engine"]["version"] = source.commit("good")
    host.play()
    good = host.release()
    (host.directory / "llama.cpp" / "CMakeLists.txt").write_text("this is no CMake\n")
    host.config["engine"]["version"] = source.commit("broken")
    output = host.play(expect=2)
    assert "Configuring llama.cpp" in output
    assert host.release() == good
    assert host.answers()


def test_an_existing_engine_that_was_replaced_is_adopted_anew(host, engine):
    theirs = host.directory / "theirs"
    theirs.mkdir()
    for program in engine.iterdir():
        os.link(program, theirs / program.name)
    host.config["engine"]["path"] = str(theirs)
    host.play()
    before = host.release()
    data = (engine / "llama-server").read_bytes()
    (theirs / "llama-server").unlink()
    (theirs / "llama-server").write_bytes(data)
    (theirs / "llama-server").chmod(0o755)
    host.play()
    assert host.release() != before
    assert host.answers()


def test_an_archive_of_sources_without_any_network(host, source):
    source.commit("one")
    file = host.directory / "llama.cpp.tar.gz"
    sha256 = packed(file, source.url, "llama.cpp-b42")
    host.config["engine"] = {"source": "archive", "version": "b42", "path": str(file), "sha256": "0" * 64}
    output = host.play(expect=2)
    assert "is not the pinned file" in output and sha256 in output
    assert processes_below(host.install) == []
    host.config["engine"]["sha256"] = sha256
    host.play()
    assert host.release().startswith("b42-")
    assert host.answers()
    file.unlink()
    output = host.play()
    assert recap(output)["changed"] == 0, output


def test_a_release_of_programs_from_the_web_and_homebrew_after_it(host, engine):
    file = host.directory / "programs.tar.gz"
    sha256 = packed(file, engine, "llama-b10775")
    with FaultServer() as server:
        server.serve("/llama-b10775-bin.tar.gz", file.read_bytes())
        url = server.url("/llama-b10775-bin.tar.gz")
        host.config["engine"] = {"source": "release", "version": "b10775", "url": url, "sha256": sha256}
        host.play()
        assert host.release().startswith("b10775-")
        assert host.answers()
        assert not (host.install / "engine" / "src").exists()
        output = host.play()
        assert recap(output)["changed"] == 0, output

    prefix = host.directory / "brew"
    (prefix / "Cellar" / "llama.cpp" / "1").mkdir(parents=True)
    (prefix / "opt").mkdir()
    (prefix / "opt" / "llama.cpp").symlink_to(prefix / "Cellar" / "llama.cpp" / "1")
    host.config["engine"] = {"source": "homebrew", "path": str(prefix)}
    output = host.play(expect=2)
    assert "brew install llama.cpp" in output
    (prefix / "Cellar" / "llama.cpp" / "1" / "bin").symlink_to(engine)
    host.play()
    assert host.release().startswith("homebrew-")
    assert host.answers()
