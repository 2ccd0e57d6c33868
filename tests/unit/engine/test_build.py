# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Compiling, tried with a real compiler on a project of a few lines."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands, progress
from ansible_collections.macos_setup.llm.plugins.module_utils.base.errors import LlamaCppError
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import build as engine_build
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import release as engine
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import store
from support.modules import run_module
from support.paths import REPOSITORY

pytestmark = pytest.mark.processes

TOOLS = [os.path.dirname(sys.executable)]

CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.14)
project(tiny CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
option(BROKEN "" OFF)
add_executable(llama-server server.cpp)
target_compile_definitions(llama-server PRIVATE BUILD=${LLAMA_BUILD_NUMBER} COMMIT="${LLAMA_BUILD_COMMIT}")
if (BROKEN)
  target_compile_definitions(llama-server PRIVATE BROKEN)
endif()
add_executable(unwanted unwanted.cpp)
"""
SERVER = """
#include <cstdio>
#ifdef BROKEN
#error deliberately broken
#endif
int main() { std::fprintf(stderr, "version: 1 (build %d, commit %s)\\n", BUILD, COMMIT); }
"""


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "source tree"
    directory.mkdir()
    (directory / "CMakeLists.txt").write_text(CMAKE_LISTS)
    (directory / "server.cpp").write_text(SERVER)
    (directory / "unwanted.cpp").write_text("#error must not be compiled\n")
    return str(directory)


def plan(**options):
    return {"source": "git", "version": "b42", "url": "u", "targets": ["llama-server"], "options": options}


def test_a_page_has_to_be_where_the_build_takes_it_from(tmp_path):
    """Without it llama.cpp's own build only warns."""
    engine_plan = {**plan(), "web_ui": {"sha256": "a" * 64, "path": "/ui.tar.gz"}}
    release = engine.Release(engine_plan, str(tmp_path / "the engine"), "Linux")
    for file in ("CMakeLists.txt", "dist/index.html"):
        with pytest.raises(LlamaCppError, match=f"there is no tools/ui/{file}"):
            engine_build.build(release, str(tmp_path), progress.Progress(None), TOOLS)
        (tmp_path / "tools" / "ui" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tools" / "ui" / file).touch()
    engine_build._require_page(release, str(tmp_path))
    assert not os.path.exists(release.build_path)
    without = engine.Release(plan(), str(tmp_path / "the engine"), "Linux")
    engine_build._require_page(without, str(tmp_path))
    assert os.listdir(tmp_path / "tools" / "ui") == ["CMakeLists.txt"]


def build(tmp_path, source, reporter=None, **options):
    release = engine.Release(plan(**options), str(tmp_path / "the engine"), "Linux")
    engine_build.build(release, source, reporter or progress.Progress(None), TOOLS)
    return release


def test_only_the_wanted_targets_and_the_name_in_the_binary(tmp_path, source):
    release = build(tmp_path, source)
    assert release.state()["usable"]
    assert release.state()["build_info"] == "b42-b42-" + release.fingerprint
    assert os.listdir(os.path.join(release.path, "bin")) == ["llama-server"]
    assert not os.path.exists(os.path.join(release.engine_dir, "build"))


LLAMA_CPP = """
cmake_minimum_required(VERSION 3.14)
project("llama.cpp" CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
add_subdirectory(part)
add_executable(llama-server server.cpp)
target_compile_definitions(llama-server PRIVATE BUILD=${LLAMA_BUILD_NUMBER} COMMIT="${LLAMA_BUILD_COMMIT}")
target_link_libraries(llama-server PRIVATE %s)
"""


def like_llama_cpp(source, library, options=""):
    """Make of ``source`` a project with the name of the real one, and with a ``library`` that is called so there."""
    part = os.path.join(source, "part")
    os.mkdir(part)
    for directory, name, text in (
        (source, "CMakeLists.txt", LLAMA_CPP % library),
        (part, "CMakeLists.txt", f"add_library({library} STATIC part.cpp)\n{options}\n"),
        (part, "part.cpp", "int part() { return 1; }\n"),
    ):
        with open(os.path.join(directory, name), "w") as stream:
            stream.write(text)


@pytest.fixture
def compiled(tmp_path, source):
    """``compiled(**options)`` builds; the words of each command of the compiler, by the name of the file."""
    seen, launcher = tmp_path / "commands", tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nexec "$@"\n')
    launcher.chmod(0o755)

    def compiled(**options):
        build(tmp_path, source, CMAKE_CXX_COMPILER_LAUNCHER=str(launcher), **options)
        commands_run = [line.split() for line in seen.read_text().splitlines()]
        return {os.path.basename(words[-1]): words for words in commands_run}

    return compiled


@pytest.mark.parametrize(("build_type", "common", "server"), [("Release", "-O1", "-O3"), ("Debug", None, None)])
def test_what_computes_nothing_is_compiled_quickly(source, compiled, build_type, common, server):
    """The last -O of a compiler's command line is the one that counts."""
    like_llama_cpp(source, "llama-common")
    levels = {
        name: next((word for word in reversed(words) if word.startswith("-O")), None)
        for name, words in compiled(CMAKE_BUILD_TYPE=build_type).items()
    }
    assert levels == {"part.cpp": common, "server.cpp": server}


def knows_amx_and_is_gcc():
    words = ["c++", "-mno-amx-tile", "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0 and b"__clang__" not in done.stdout


@pytest.mark.skipif(not knows_amx_and_is_gcc(), reason="only GCC for x86 compiles these kernels, and wrongly")
def test_kernels_that_gcc_compiles_wrongly_are_left_out(source, compiled):
    like_llama_cpp(source, "ggml-cpu", "target_compile_options(ggml-cpu PRIVATE -march=native)")
    words = compiled()["part.cpp"]
    assert words.index("-mno-amx-tile") > words.index("-march=native")


@pytest.mark.skipif(commands.find("ccache", TOOLS) is None, reason="there is no ccache on this machine")
def test_what_was_compiled_is_there_for_the_next_release(tmp_path, source, monkeypatch):
    for variable in [name for name in os.environ if name.startswith("CCACHE_")]:
        monkeypatch.delenv(variable)
    like_llama_cpp(source, "llama-common")
    kept = str(tmp_path / "the engine" / "src" / "llama.cpp")
    shutil.copytree(source, kept)
    ccache = commands.find("ccache", TOOLS)
    hits = []
    for number in "12":  # an option that no compiler hears of, but in whose name the releases differ
        release = build(tmp_path, kept, CMAKE_CXX_COMPILER_LAUNCHER=ccache, NUMBER=number)
        environment = {"CCACHE_DIR": os.path.join(release.engine_dir, store.CACHE)}
        stats = subprocess.run(
            [ccache, "--print-stats"], stdout=subprocess.PIPE, text=True, env=environment, check=True
        )
        hits.append(dict(line.split("\t") for line in stats.stdout.splitlines())["direct_cache_hit"])
    assert hits == ["0", "1"]


def test_progress_is_told(tmp_path, source):
    seen = []

    class Recorder(progress.Progress):
        def update(self, stage, done=0, total=None, **_rest):
            seen.append((stage, done, total))

    build(tmp_path, source, Recorder())
    assert seen[0][0] == "configuring"
    stage, done, total = seen[-1]
    assert stage == "compiling" and done == total > 0


def test_a_compiler_error_is_shown_and_nothing_is_installed(tmp_path, source):
    with pytest.raises(LlamaCppError, match="deliberately broken"):
        build(tmp_path, source, BROKEN="ON")
    assert not os.path.exists(str(tmp_path / "the engine" / "releases"))


def test_a_bad_option_is_cmakes_to_explain(tmp_path, source):
    with open(os.path.join(source, "CMakeLists.txt"), "a") as stream:
        stream.write('message(FATAL_ERROR "no such backend")\n')
    with pytest.raises(LlamaCppError, match="no such backend"):
        build(tmp_path, source)


def test_tls_without_openssl_is_refused(tmp_path, source):
    with pytest.raises(LlamaCppError, match="OpenSSL"):
        build(tmp_path, source, LLAMA_OPENSSL="ON")


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path, source):
    class Gone(progress.Progress):
        def update(self, stage, done=0, total=None, **_rest):
            if stage == "compiling":
                raise progress.WatcherGone("gone")

    with pytest.raises(progress.WatcherGone):
        build(tmp_path, source, Gone())
    release = engine.Release(plan(), str(tmp_path / "the engine"), "Linux")
    assert os.path.exists(os.path.join(release.build_path, "CMakeCache.txt"))
    assert build(tmp_path, source).state()["usable"]


def arguments(tmp_path, source, state, **more):
    return {
        "engine": plan(),
        "engine_dir": str(tmp_path / "the engine"),
        "system": "Linux",
        "state": state,
        "source_dir": source,
        "tool_dirs": TOOLS,
        **more,
    }


def test_module_check_real_check_real(tmp_path, source):
    answers = []
    for check in (True, False, True, False):
        result = run_module("engine_release", arguments(tmp_path, source, "present"), check=check, diff=True)
        answers.append((result["changed"], result["release"]["usable"]))
    assert answers == [(True, False), (True, True), (False, True), (False, True)]
    for check, changed in ((True, True), (False, True), (True, False), (False, False)):
        result = run_module("engine_release", arguments(tmp_path, source, "current"), check=check, diff=True)
        assert result["changed"] is changed
    assert result["release"]["current"]


def test_module_names_an_option_that_the_release_lacks(tmp_path, source):
    run_module("engine_release", arguments(tmp_path, source, "present"))
    server = engine.Release(plan(), str(tmp_path / "the engine"), "Linux").program()
    with open(server, "w") as stream:
        stream.write('#!/bin/sh\n[ "$1" = --help ] && echo "--threads N   number" || echo "version: 1 (abc)"\n')
    given = ["--threads", "4", "--mlock"]
    result = run_module("engine_release", arguments(tmp_path, source, "current", arguments=given))
    assert result["failed"]
    assert "--mlock" in result["msg"] and "--load-mode" in result["msg"]
    assert "--threads" not in result["msg"]


def test_two_builds_of_one_release_share_the_work(tmp_path, source):
    code = (
        "import sys, json; sys.path[:0] = [{!r}, {!r}]\n"
        "from support.modules import run_module\n"
        "print(json.dumps(run_module('engine_release', json.loads(sys.argv[1]))['release']['usable']))"
    ).format(str(REPOSITORY / "tests"), str(REPOSITORY / ".collections"))
    command = [sys.executable, "-c", code, json.dumps(arguments(tmp_path, source, "present"))]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    deadline = time.monotonic() + 120
    assert [process.communicate(timeout=deadline - time.monotonic())[0].strip() for process in both] == ["true", "true"]
