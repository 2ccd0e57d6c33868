# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Hosts as an earlier version of the collection left them, put into a directory: what an upgrade has to take over.

``<version>.tar.xz`` holds every small file that a play of that version made, as it was, with placeholders for what
differs from host to host (:class:`Values`). Three kinds of files are only named there, by their content:

``@MODEL@``        the self-test model, which comes with the collection
``@PROGRAM@``      a program of the engine
``@ENVIRONMENT@``  a Python environment; the requirements file that it was made from follows

record.py makes such an archive. Two things of these hosts are unlike those of owners, so that they can stand on any
machine: their compiler is a script that says of itself the same everywhere, since the name of a release tells what
compiled it; and the addresses that engine and model came from do not exist.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

from ansible_collections.macos_setup.llm.plugins.module_utils.base.files import sha256_of
from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.engine.store import build_info_of
from ansible_collections.macos_setup.llm.plugins.module_utils.net.python_environment import PythonEnvironment

from support.paths import REPOSITORY
from support.plays import Host, free_port

HERE = Path(__file__).resolve().parent
VERSION = "0.1.0"
SELFTEST = REPOSITORY / "roles" / "llama_cpp" / "files" / "selftest" / "selftest.gguf"

MODEL, PROGRAM, ENVIRONMENT = "@MODEL@", "@PROGRAM@", "@ENVIRONMENT@\n"
MODEL_ORIGIN, ENGINE_ORIGIN = "https://models.invalid", "https://engine.invalid/llama.cpp"

#: The compiler of the host, which leaves a trace of every call that compiles something.
COMPILER = """\
#!/bin/sh
case "$1" in
  --version) echo "c++ (recorded) 12.2.0" ;;
  -dumpmachine) echo "x86_64-linux-gnu" ;;
  *) echo "$*" >> "$0.calls"; exec {compiles} "$@" ;;
esac
"""


class Values(NamedTuple):
    """What takes the place of ``@HOST@``, ``@MODEL_SHA256@`` and so on; each is text."""

    host: str  # the directory that stands for the host
    port: str
    user: str
    api_key: str
    model_sha256: str
    model_bytes: str
    build_info: str  # what the llama-server says it is

    def in_place(self, template):
        """``template`` with the values in place of their placeholders."""
        for name, value in self._asdict().items():
            template = template.replace(f"@{name.upper()}@", value)
        return template

    def taken_out(self, text):
        """The template that ``text`` was made from."""
        for name, value in self._asdict().items():
            if name != "user":
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", f"@{name.upper()}@", text)
        return text.replace(f'"user": "{self.user}"', '"user": "@USER@"')


def values(directory, port=0, build_info="b0-none"):
    """The :class:`Values` of a host in ``directory`` on this machine."""
    return Values(
        host=str(directory),
        port=str(port or free_port()),
        user=getpass.getuser(),
        api_key="not-a-secret-key-of-a-recorded-host-0123456789ab",
        model_sha256=sha256_of(str(SELFTEST)),
        model_bytes=str(SELFTEST.stat().st_size),
        build_info=build_info,
    )


def write_compiler(directory, compiles="false"):
    """Write the compiler of the host in ``directory``; the environment in which it is the one there."""
    script = Path(directory, "compiler")
    script.write_text(COMPILER.format(compiles=compiles))
    script.chmod(0o755)
    return {"CC": str(script), "CXX": str(script)}


def write(directory, values, engine=None, version=VERSION):
    """Put the host into the empty ``directory``, without its programs and environments where there is no ``engine``."""
    with tarfile.open(HERE / f"{version}.tar.xz") as archive:
        directories = [member for member in archive if member.isdir()]
        for member in archive:
            path = Path(directory, member.name)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif member.issym():
                path.symlink_to(member.linkname)
            else:
                _write_file(path, archive.extractfile(member).read().decode(), member.mode, values, engine)
        for member in directories:
            Path(directory, member.name).chmod(member.mode)
    _note_anew(directory)


def _write_file(path, template, mode, values, engine):
    if template == MODEL:
        shutil.copy(SELFTEST, path)
    elif template == PROGRAM:
        if engine is None:
            return
        shutil.copy(Path(engine, path.name), path)
    elif template.startswith(ENVIRONMENT):
        if engine is not None:
            PythonEnvironment(str(path), template[len(ENVIRONMENT) :]).install(Progress())
        return
    else:
        path.write_text(values.in_place(template))
    path.chmod(mode)


def _note_anew(directory):
    """Let the records tell of the files as they are here: when a model was changed, and what is in a program."""
    for record in Path(directory).rglob(".llama_cpp/*.json"):
        status = Path(record.parents[1], record.name[: -len(".json")]).stat()
        facts = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "inode": status.st_ino}
        record.write_text(json.dumps({**json.loads(record.read_text()), **facts}, indent=2))
    for stamp in Path(directory).rglob("releases/*/stamp.json"):
        facts, programs = json.loads(stamp.read_text()), stamp.parent / "bin"
        facts["sha256"] = {path.name: sha256_of(str(path)) for path in sorted(programs.iterdir())}
        stamp.write_text(json.dumps(facts, indent=2))


def restore(directory, engine):
    """The :class:`Host` in the empty ``directory`` as the landed version left it, stopped, with the programs of
    ``engine``; and the environment that plays of it are to be run in.
    """
    found = values(directory, build_info=build_info_of(str(engine / "llama-server")))
    write(directory, found, engine)
    host = Host(Path(directory), engine)
    host.port = int(found.port)
    host.config = json.loads((Path(directory) / "llm_config.json").read_text())
    assert os.path.isdir(host.install)
    return host, write_compiler(directory)
