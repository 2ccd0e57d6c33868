# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A git repository that stands for llama.cpp where a test needs many builds and no test can wait for them.

What it compiles to is a program that becomes the real llama-server: cloned, configured and compiled like the real
source in seconds, and computing like it.
"""

import hashlib
import subprocess
import tarfile

CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.14)
project(stand-in CXX)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
foreach(program llama-server llama-cli llama-bench llama-fit-params ggml-rpc-server)
  add_executable(${program} main.cpp)
  target_compile_definitions(${program} PRIVATE PROGRAM="${program}")
endforeach()
"""
#: What each kind of version does, in C++; %s is the directory of the real programs.
KINDS = {
    "works": """
int main(int, char ** argv) { return become(argv); }
""",
    "prints nonsense": """
int main(int argc, char ** argv) {
    if (argc > 1 && !std::strcmp(argv[1], "--version")) {
        std::fprintf(stderr, "version: 9 (build 9, commit bad0bad)\\n");
        return 0;
    }
    std::puts("I am no server.");
    return 1;
}
""",
}
BEGINNING = """
#include <cstdio>
#include <cstring>
#include <unistd.h>
static int become(char ** argv) { execv("%s/" PROGRAM, argv); return 127; }
"""


class EngineSource:
    """The repository in ``directory``, whose programs become those in the directory ``engine``."""

    def __init__(self, directory, engine):
        self.url = str(directory)
        self._directory, self._engine = directory, engine
        directory.mkdir()
        self._git("init", "--quiet", "--initial-branch", "main")
        # As on the hosting sites, any commit may be asked for by its name.
        self._git("config", "uploadpack.allowAnySHA1InWant", "true")

    def engine(self, version):
        """What a configuration says to have ``version``, a commit or a tag, built from here."""
        return {"source": "git", "url": f"file://{self.url}", "version": version}

    def commit(self, comment="", kind="works", tag=None, cmake=CMAKE_LISTS, move=False):
        """Commit a version of one of the KINDS, with ``cmake`` as its CMakeLists.txt; returns the full commit.

        ``move`` takes the ``tag`` from the commit that has it.
        """
        (self._directory / "CMakeLists.txt").write_text(cmake)
        code = (BEGINNING + KINDS[kind]).replace("%s", str(self._engine))
        (self._directory / "main.cpp").write_text(f"// {comment}\n{code}")
        self._git("add", ".")
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        self._git(*identity, "commit", "--quiet", "--message", comment or "version")
        if tag:
            self._git("tag", *(["--force"] if move else []), tag)
        return self._git("rev-parse", "HEAD")

    def _git(self, *words):
        command = ["git", "-C", self._directory, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def packed(path, directory, top):
    """A tarball of ``directory`` under the name ``top``; its SHA-256."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(directory, top)
    return hashlib.sha256(path.read_bytes()).hexdigest()
