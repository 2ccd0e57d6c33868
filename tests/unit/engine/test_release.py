# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Releases: named after all that changes them, complete or absent, switched in one step."""

import json
import os

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import build_options, request, store, toolchain
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import release as engine

BUILD = "b7-abc1234"
SERVER = '#!/bin/sh\necho "version: 0.5.0-dev (build 7, commit abc1234)" >&2\n'
GIT = {
    "source": "git",
    "version": "0c1e57098bba43ac29e6e3b677cdceebdd22334f",
    "url": "https://example.org/llama.cpp.git",
    "targets": ["llama-server", "llama-cli"],
    "options": {"GGML_NATIVE": "ON"},
}


def program(path, text=SERVER):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def built(tmp_path):
    return {name: program(tmp_path / "build" / name) for name in GIT["targets"]}


def release(tmp_path, **changes):
    return engine.Release({**GIT, **changes}, str(tmp_path / "engine"), "Linux")


def test_the_name_tells_the_version(tmp_path):
    assert release(tmp_path).name.startswith("0c1e570-")
    assert release(tmp_path, version="b10488").name.startswith("b10488-")
    assert release(tmp_path, version="v0.4.0").name.startswith("v0.4.0-")


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"GGML_NATIVE": "OFF"}},
        {"targets": ["llama-server"]},
        {"url": "https://mirror.example/llama.cpp.git"},
        {"version": "b10488"},
        {"version": "b10488", "commit": "a" * 40},
        {"web_ui": {"url": "https://a.example/ui.tar.gz", "sha256": "a" * 64}},
    ],
)
def test_whatever_changes_the_binary_changes_the_name(tmp_path, change):
    assert release(tmp_path, **change).fingerprint != release(tmp_path).fingerprint
    assert release(tmp_path, **change).fingerprint == release(tmp_path, **change).fingerprint


def test_a_tag_that_was_moved_is_another_release(tmp_path):
    names = {release(tmp_path, version="b10488", commit=digit * 40).name for digit in "ab"}
    assert len(names) == 2 and all(name.startswith("b10488-") for name in names)
    # A commit says it already, and where the page comes from does not matter.
    assert release(tmp_path, commit=GIT["version"]).name == release(tmp_path).name
    pages = [{"sha256": "a" * 64, "url": url} for url in ("https://a.example/x", "https://b.example/x")]
    assert len({release(tmp_path, web_ui=page).name for page in pages}) == 1


def test_another_compiler_or_processor_changes_the_name(tmp_path, monkeypatch):
    before = release(tmp_path)
    identity = toolchain.identity("Linux", native=True)
    for key in identity:
        monkeypatch.setattr(toolchain, "identity", lambda *_args, key=key, **_kw: {**identity, key: "another"})
        assert release(tmp_path).fingerprint != before.fingerprint


def test_flags_of_the_environment_change_the_name(tmp_path, monkeypatch):
    before = release(tmp_path).fingerprint
    monkeypatch.setenv("CXXFLAGS", "")
    assert release(tmp_path).fingerprint == before
    monkeypatch.setenv("CXXFLAGS", "-O1")
    assert release(tmp_path).fingerprint != before


def test_the_stubs_of_a_mac_without_tools_are_not_called(tmp_path, monkeypatch):
    for stub in ("cc", "c++", "xcrun"):
        program(tmp_path / "bin" / stub, f"#!/bin/sh\ntouch {tmp_path}/dialog\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(toolchain, "developer_directory", lambda: None)
    assert toolchain.identity("Darwin", native=False)["compiler"] == ""
    with pytest.raises(LlamaCppError, match="xcode-select --install"):
        toolchain.require_compiler("Darwin")
    assert not (tmp_path / "dialog").exists()
    monkeypatch.setattr(toolchain, "developer_directory", lambda: "/Library/Developer/CommandLineTools")
    toolchain.identity("Darwin", native=False)
    assert (tmp_path / "dialog").exists()


def test_only_a_build_for_this_processor_depends_on_it():
    assert toolchain.identity("Linux", native=False)["processor"] == ""
    assert toolchain.identity("Linux", native=True)["processor"] != ""


def test_nothing_is_there_at_first(tmp_path):
    state = release(tmp_path).state()
    assert state == {
        "usable": False,
        "why_not": state["why_not"],
        "build_info": None,
        "selftested": False,
        "current": False,
    }


def test_installed_then_tested(tmp_path, built):
    wanted = release(tmp_path)
    wanted.install(built)
    assert wanted.state()["usable"]
    assert wanted.state()["build_info"] == BUILD
    assert not wanted.state()["current"]
    assert not wanted.state()["selftested"]
    store.admit(wanted.engine_dir, wanted.name, {"asked": 104})
    assert wanted.state()["selftested"]
    store.switch(wanted.engine_dir, wanted.name)
    assert wanted.state()["current"]


def test_a_server_that_does_not_run_is_not_installed(tmp_path, built):
    program(tmp_path / "build" / "llama-server", "#!/bin/sh\nexit 1\n")
    wanted = release(tmp_path)
    with pytest.raises(LlamaCppError, match="does not run"):
        wanted.install(built)
    assert os.listdir(os.path.dirname(wanted.path)) == []


@pytest.mark.parametrize("damage", ["missing program", "broken server", "no stamp"])
def test_a_damaged_release_counts_as_absent_and_is_replaced(tmp_path, built, damage):
    wanted = release(tmp_path)
    wanted.install(built)
    if damage == "missing program":
        os.unlink(wanted.program("llama-cli"))
    elif damage == "broken server":
        with open(wanted.program(), "w") as stream:
            stream.write("#!/bin/sh\nexit 137\n")
    else:
        os.unlink(os.path.join(wanted.path, store.STAMP))
    assert not wanted.state()["usable"]
    assert wanted.state()["why_not"]
    wanted.install(built)
    assert wanted.state()["usable"]
    assert os.listdir(os.path.dirname(wanted.path)) == [wanted.name]


@pytest.mark.parametrize("below", ["", "bin"])
def test_an_existing_engine_is_linked(tmp_path, below):
    theirs = tmp_path / "theirs"
    server = program(theirs / below / "llama-server")
    program(theirs / below / "llama-cli")
    program(theirs / below / "unrelated")
    wanted = engine.Release(
        {"source": "existing", "version": "any", "path": str(theirs)}, str(tmp_path / "engine"), "Linux"
    )
    programs = engine.existing_programs(wanted.engine)
    assert sorted(programs) == ["llama-cli", "llama-server"]
    wanted.install(programs)
    assert wanted.state()["usable"]
    assert os.path.realpath(wanted.program()) == os.path.realpath(server)
    os.utime(server, ns=(1, 1))
    again = engine.Release(wanted.engine, wanted.engine_dir, "Linux")
    assert again.fingerprint != wanted.fingerprint


def test_an_existing_engine_without_server_is_refused(tmp_path):
    with pytest.raises(LlamaCppError, match=r"engine\.path"):
        engine.existing_programs({"source": "existing", "path": str(tmp_path)})


def test_homebrew_is_adopted_as_it_is_and_its_upgrade_is_another_release(tmp_path):
    prefix = tmp_path / "opt" / "llama.cpp"
    source = {"source": "homebrew", "version": "any", "path": str(prefix)}
    with pytest.raises(LlamaCppError, match=r"brew install llama\.cpp"):
        engine.Release(source, str(tmp_path / "engine"), "Darwin")
    first = program(tmp_path / "Cellar" / "1" / "bin" / "llama-server")
    program(tmp_path / "Cellar" / "2" / "bin" / "llama-server", "#!/bin/sh\n# newer\n")
    prefix.parent.mkdir()
    prefix.symlink_to(tmp_path / "Cellar" / "1")
    before = engine.Release(source, str(tmp_path / "engine"), "Darwin")
    before.install(engine.existing_programs(source))
    prefix.unlink()
    prefix.symlink_to(tmp_path / "Cellar" / "2")
    assert os.path.realpath(before.program()) == os.path.realpath(first)
    assert before.state()["usable"]
    assert engine.Release(source, str(tmp_path / "engine"), "Darwin").name != before.name


def test_unpacked_programs_are_installed_with_their_libraries(tmp_path):
    tree = tmp_path / "tree"
    program(tree / "build" / "bin" / "llama-server")
    (tree / "build" / "bin" / "libllama.dylib").write_bytes(b"library")
    source = {"source": "release", "version": "b1", "archive": {"sha256": "0" * 64}}
    wanted = engine.Release(source, str(tmp_path / "engine"), "Darwin")
    wanted.install(engine.prebuilt_programs(str(tree)))
    assert wanted.state()["usable"]
    assert sorted(os.listdir(os.path.join(wanted.path, "bin"))) == ["libllama.dylib", "llama-server"]
    with pytest.raises(LlamaCppError, match="no llama-server"):
        engine.prebuilt_programs(str(tmp_path / "engine" / "build"))


def test_how_it_is_compiled_makes_another_release(tmp_path, monkeypatch):
    before = release(tmp_path).name
    monkeypatch.setattr(build_options, "TEXT", "")
    assert release(tmp_path).name != before


def test_an_archive_is_known_by_its_hash_and_not_by_its_address(tmp_path):
    def fingerprint(url, sha256):
        source = {**GIT, "source": "archive", "archive": {"url": url, "sha256": sha256}}
        return engine.Release(source, str(tmp_path), "Linux").fingerprint

    assert fingerprint("https://a/", "0" * 64) == fingerprint("https://b/", "0" * 64)
    assert fingerprint("https://a/", "0" * 64) != fingerprint("https://a/", "1" * 64)


def test_the_stamp_tells_where_it_came_from(tmp_path, built):
    wanted = release(tmp_path)
    wanted.install(built)
    with open(os.path.join(wanted.path, store.STAMP)) as stream:
        stamp = json.load(stream)
    assert stamp["identity"]["version"] == GIT["version"]
    assert stamp["identity"]["origin"] == GIT["url"]
    assert stamp["build_info"] == BUILD


def test_programs_that_a_release_is_known_to_lack(tmp_path, built):
    worker = "ggml-rpc-server"
    adopted = release(tmp_path, source="existing", path=str(tmp_path / "build"))
    compiled = release(tmp_path)
    for lacking, found in ((adopted, False), (compiled, False)):
        with pytest.raises(LlamaCppError, match=rf"has no {worker}.*engine\.rpc"):
            request.require_programs(lacking, {"usable": found}, [worker])
    compiled.install(built)
    with pytest.raises(LlamaCppError, match=f"has no {worker}"):
        request.require_programs(compiled, {"usable": True}, [worker])
    having = release(tmp_path, targets=[*GIT["targets"], worker])
    request.require_programs(having, {"usable": False}, [worker])
    program(tmp_path / "build" / worker)
    request.require_programs(adopted, {"usable": False}, [worker])
