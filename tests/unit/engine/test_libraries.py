# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The libraries of an adopted llama-server are part of what it is."""

import os
import subprocess
import sys

import pytest
from ansible_collections.macos_setup.llm.plugins.module_utils.base import commands
from ansible_collections.macos_setup.llm.plugins.module_utils.engine import libraries
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.release import Release


@pytest.fixture
def place(tmp_path):
    """A directory with a server, a library of llama.cpp and one of somebody else."""
    directory = (tmp_path / "a place (x)").resolve()
    directory.mkdir()
    for name in ("llama-server", "libggml.dylib", "libomp.dylib", "libggml-metal.so", "libother.so", "notes.txt"):
        (directory / name).write_text(name)
    return directory


def found(monkeypatch, place, told):
    monkeypatch.setattr(commands, "output_of", lambda _command, environment: told)
    return [os.path.basename(path) for path, _size, _time in libraries.libraries_of(str(place / "llama-server"))]


@pytest.mark.parametrize(
    "line",
    ["dyld[42]: <12AB-34> {}\n", "dyld: loaded: <12AB-34> {}\n", "\tlibx => {} (0x00007f12)\n", "\t{} (0x7f12)\n"],
)
def test_what_the_loader_tells_and_what_llama_cpp_has_beside_it(monkeypatch, place, line):
    told = "".join(line.format(path) for path in (place / "libggml.dylib", place / "libomp.dylib", "/no/such.dylib"))
    wanted = ["libggml-metal.so", "libggml.dylib", "libomp.dylib"]
    assert found(monkeypatch, place, told + line.format("/usr/lib/os-release") + "version: 7 (abc)\n") == wanted


def test_a_loader_that_tells_nothing(monkeypatch, place):
    assert found(monkeypatch, place, None) == ["libggml-metal.so", "libggml.dylib"]


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="links as on Linux")
def test_a_library_that_was_replaced_makes_another_release(tmp_path):
    library, server = tmp_path / "lib" / "libggml.so", tmp_path / "bin" / "llama-server"
    library.parent.mkdir()
    server.parent.mkdir()

    def compiled(source, *words):
        subprocess.run(["cc", "-x", "c", "-", *map(str, words)], input=source, text=True, check=True)

    def name():
        engine = {"source": "existing", "version": "any", "path": str(tmp_path)}
        return Release(engine, str(tmp_path / "engine"), "Linux").name

    compiled("int ggml(void) { return 0; }", "-shared", "-fPIC", "-o", library)
    compiled("int ggml(void); int main(void) { return ggml(); }", "-o", server, "-x", "none", library)
    before = name()
    assert name() == before
    library.write_bytes(library.read_bytes() + b"other")
    assert name() != before
