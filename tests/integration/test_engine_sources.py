# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Engines that are built or downloaded: made, verified by the self-test, and current. (In service: test_upgrade.py. In
most other files an engine that exists is adopted; Homebrew's is one at another path: unit/engine/test_release.py.)
"""

import json
from pathlib import Path

import pytest
from support.engine_source import EngineSource, packed
from support.fault_server import FaultServer
from support.plays import ENGINE_ALONE, recap


@pytest.fixture(scope="module")
def prepare(engine):
    def prepare(host):
        host.source = EngineSource(host.directory / "llama.cpp", engine)
        host.config["engine"] = host.source.engine(host.source.commit("first"))
        host.config["feature_flags"] = ENGINE_ALONE

    return prepare


def stamp(host):
    return json.loads((host.install / "engine" / "current" / "stamp.json").read_text())


def test_git_by_commit_and_then_by_tag(installed):
    first = installed.release()
    assert first.startswith(installed.config["engine"]["version"][:7] + "-")
    assert stamp(installed)["selftest"]
    assert not (installed.install / "engine" / "src").exists()
    second = installed.source.commit("second", tag="b42")
    installed.config["engine"] = installed.source.engine("b42")
    installed.play()
    assert installed.release().startswith("b42-")
    assert (installed.install / "engine" / "releases" / first).is_dir(), "the old release is gone"
    assert stamp(installed)["identity"]["version"] == "b42"
    tag = {installed.source.engine("b42")["url"] + "#b42": second}
    assert json.loads((installed.directory / "llm_config.lock.json").read_text())["tags"] == tag
    assert recap(installed.play())["changed"] == 0


def test_an_archive_of_sources_without_any_network(installed):
    interface = Path(installed.source.url, "tools", "ui")
    interface.mkdir(parents=True)
    (interface / "CMakeLists.txt").touch()
    installed.source.commit("fourth")
    file, page = installed.directory / "llama.cpp.tar.gz", installed.directory / "ui.tar.gz"
    sha256 = packed(file, installed.source.url, "llama.cpp-b43")
    (installed.directory / "page").mkdir()
    (installed.directory / "page" / "index.html").write_text("<html>")
    # The build starts only with the page in its place.
    web_ui = {"path": str(page), "sha256": packed(page, installed.directory / "page", "dist")}
    installed.config["engine"] = {"source": "archive", "version": "b43", "path": str(file), "sha256": sha256}
    installed.config["engine"]["web_ui"] = web_ui
    installed.play()
    assert installed.release().startswith("b43-")
    assert stamp(installed)["selftest"]
    file.unlink()
    output = installed.play()
    assert recap(output)["changed"] == 0, output


def test_a_release_of_programs_from_the_web_and_no_output_shows_what_signs_an_address(installed, engine):
    file = installed.directory / "programs.tar.gz"
    sha256 = packed(file, engine, "llama-b10775")
    flags, models = installed.config["feature_flags"], installed.config["models"]
    with FaultServer() as server:
        server.serve("/llama-b10775-bin.tar.gz", file.read_bytes())
        url = server.url("/llama-b10775-bin.tar.gz?sig=5ec2e7")
        installed.config["engine"] = {"source": "release", "version": "b10775", "url": url, "sha256": sha256}
        gone = {"url": server.url("/gone.gguf?sig=5ec2e7"), "mirrors": [server.url("/?sig=5ec2e7")], "sha256": sha256}
        installed.config["models"] = {**models, "gone": gone}
        installed.config["feature_flags"] = {**flags, "download_models": True}
        output = installed.play("-vvv", "--diff", expect=2)
        installed.config["feature_flags"], installed.config["models"] = flags, models
        assert {request.query for request in server.requests} == {"sig=5ec2e7"}
        assert {request.path for request in server.requests} == {"/llama-b10775-bin.tar.gz", "/gone.gguf", "/"}
    assert "answered HTTP 404 Not Found for " + server.url("/gone.gguf") in output
    assert "5ec2e7" not in output
    kept = [path for path in installed.install.rglob("*") if path.suffix in ("", ".json") and path.is_file()]
    assert kept and not any(b"5ec2e7" in path.read_bytes() for path in kept)
    assert installed.release().startswith("b10775-")
    assert stamp(installed)["selftest"]
    assert not (installed.install / "engine" / "src").exists()
