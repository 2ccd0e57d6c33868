# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Records a host as the collection in a checkout makes one, for restore.py. Run in the root of the repository:

    git worktree add ../landed COMMIT
    PYTHONPATH=tests:.collections .venv/bin/python -m support.landed.record ../landed

The play is that of the checkout, with the Ansible of the virtual environment. The engine is built from git under a tag,
as on the hosts of owners; what is compiled are the small programs of support/engine_source.py. A model without a hash
comes from a web server, and the lock file notes both. The server serves while its files are taken.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
import stat
import sys
import tarfile
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ansible_collections.macos_setup.llm.plugins.module_utils.base import processes

from support.built_engine import require_server
from support.engine_source import EngineSource
from support.landed.restore import (
    ENGINE_ORIGIN,
    ENVIRONMENT,
    HERE,
    MODEL,
    MODEL_ORIGIN,
    PROGRAM,
    SELFTEST,
    values,
    write_compiler,
)
from support.plays import Host, processes_below

TAG = "b42"
#: A directory of Python packages -> what it is made from, in the checkout.
ENVIRONMENTS = {
    "tools/venv": "roles/llama_cpp/files/llm_tools/requirements.txt",
    "service/venv": "roles/llama_cpp/files/requirements/supervisor.txt",
}
#: What is made anew: caches, logs, what programs keep in their home, and what only a running supervisord has.
LEFT_OUT = re.compile(r".*/__pycache__|engine/ccache/.*|logs/.*|service/home/.*|.*\.(sock|pid)")


@contextlib.contextmanager
def served(directory):
    """The address of the files in ``directory``."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "http://127.0.0.1:%d" % server.server_port
    server.shutdown()


def install(host, checkout, scratch, origin):
    """Play the checkout until the host serves."""
    source = EngineSource(scratch / "llama.cpp", require_server().parent)
    source.commit("recorded", tag=TAG)
    host.config["engine"] = {"source": "git", "url": ENGINE_ORIGIN, "version": TAG}
    host.config["engine"]["cmake_options"] = {"GGML_NATIVE": False}  # the processor is a part of a release's name
    host.config["models"] = {"selftest": {"url": f"{origin}/{SELFTEST.name}"}}
    environment = {
        **write_compiler(host.directory, shutil.which("c++")),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{source.url}.insteadOf",
        "GIT_CONFIG_VALUE_0": ENGINE_ORIGIN,
    }
    playbook = checkout / "playbooks" / "macos_setup.yml"
    host.play("-e", "llama_cpp_update_lock=true", playbook=playbook, directory=checkout, environment=environment)
    assert host.answers()


def entries(host):
    """(path, path in the installation) of all that is recorded; directories before what is in them."""
    for parent, directories, files in os.walk(host.directory):
        for name in sorted(directories + files):
            path = Path(parent, name)
            inside = os.path.relpath(path, host.install)
            if name in directories and (path.is_symlink() or inside in ENVIRONMENTS):
                directories.remove(name)
            if not (LEFT_OUT.fullmatch(inside) or (path.parent == host.directory and name.startswith("compiler"))):
                yield path, inside
        directories[:] = sorted(name for name in directories if name != "__pycache__")


def template_of(path, inside, found, origin, checkout):
    """What the archive holds of the file ``path``."""
    if inside in ENVIRONMENTS:
        return ENVIRONMENT + (checkout / ENVIRONMENTS[inside]).read_text()
    if inside.startswith("engine/releases/") and "/bin/" in inside:
        return PROGRAM
    if path.suffix == SELFTEST.suffix and path.read_bytes() == SELFTEST.read_bytes():
        return MODEL
    return found.taken_out(path.read_text(encoding="utf-8").replace(origin, MODEL_ORIGIN))


def pack(archive, host, template):
    """Write what is recorded of the ``host`` into the new file ``archive``; what is the same makes the same file."""
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for path, inside in entries(host):
            member, content = tarfile.TarInfo(str(path.relative_to(host.directory))), b""
            member.mode = stat.S_IMODE(path.lstat().st_mode)
            if path.is_symlink():
                member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
            elif path.is_dir() and inside not in ENVIRONMENTS:
                member.type = tarfile.DIRTYPE
            else:
                content = template(path, inside).encode()
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def main(checkout):
    checkout = Path(checkout).resolve()
    version = re.search(r"(?m)^version: (\S+)$", (checkout / "galaxy.yml").read_text())[1]
    with contextlib.ExitStack() as opened:
        # A short path, since that of supervisord's socket may not be long.
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="landed-", dir="/tmp")))
        scratch = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        host = Host(directory, "/nowhere")
        opened.callback(lambda: processes.end(processes_below(directory), patience=20))
        origin = opened.enter_context(served(SELFTEST.parent))
        install(host, checkout, scratch, origin)
        stamp = json.loads((host.install / "engine" / "current" / "stamp.json").read_text())
        key = (host.install / "service" / "api-key").read_text().strip()
        found = values(directory, host.port, stamp["build_info"])._replace(api_key=key)
        pack(HERE / f"{version}.tar.xz", host, lambda path, inside: template_of(path, inside, found, origin, checkout))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
