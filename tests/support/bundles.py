# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Installations to make bundles of, and bundles that no installation would make."""

import hashlib
import io
import json
import os
import tarfile

from ansible_collections.macos_setup.llm.plugins.module_utils.base.progress import Progress
from ansible_collections.macos_setup.llm.plugins.module_utils.offline import bundle
from ansible_collections.macos_setup.llm.plugins.module_utils.offline.content import BundleContent

from support.model_factory import write_model
from support.modules import run_module

NAME = "0c1e570-0123456789ab"
SERVER = "#!/bin/sh\necho 'version: 1 (build 7, commit abc)'\n"


class Source:
    """An installation to pack, and the bundle of it."""

    def __init__(self, directory):
        self.directory = directory
        self.release = directory / "engine" / "releases" / NAME
        (self.release / "bin").mkdir(parents=True)
        self.server(SERVER)
        stamp = {"programs": ["llama-server"], "build_info": "b7-abc", "selftest": {"passed": 1}}
        (self.release / "stamp.json").write_text(json.dumps(stamp))
        os.symlink("releases/" + NAME, directory / "engine" / "current")
        self.model = directory / "models" / "tiny.gguf"
        self.model.parent.mkdir()
        write_model(self.model)
        self.path = str(directory / "llm.tar")

    def server(self, text):
        (self.release / "bin" / "llama-server").write_text(text)
        (self.release / "bin" / "llama-server").chmod(0o755)

    def pack(self, check=False, **options):
        arguments = {"path": self.path, "engine_dir": str(self.directory / "engine"), "models": [str(self.model)]}
        arguments["texts"] = {"llm_config.json": "{}\n"}
        return run_module("bundle", {**arguments, **options}, check=check, diff=True)

    def rewrite(self, name, content, sums=True):
        """Put other content under a name of the bundle; with ``sums``, its checksum is made to fit."""
        with tarfile.open(self.path) as archive:
            members = {m.name: (m, archive.extractfile(m).read()) for m in archive}
        members[name] = (members[name][0], content)
        if sums:
            text = "".join(
                f"{hashlib.sha256(c).hexdigest()}  {n}\n" for n, (_m, c) in members.items() if n != bundle.SUMS
            )
            members[bundle.SUMS] = (members[bundle.SUMS][0], text.encode())
        with tarfile.open(self.path, "w") as archive:
            for member, found in members.values():
                member.size = len(found)
                archive.addfile(member, io.BytesIO(found))

    def made(self):
        """Pack it in this process, which takes no time; the path."""
        BundleContent(str(self.directory / "engine"), [str(self.model)], [], {}).pack(self.path, Progress())
        return self.path


def tar(path, members):
    """A tar of (name or TarInfo, content) pairs."""
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def a_bundle(path, files=(), **facts):
    """A bundle with ``files`` (name or TarInfo, content) whose hashes are right, and changed or further facts."""
    told = {"format": 1, "platform": bundle.this_platform(), "release": NAME, "models": {}, **facts}
    members = [(bundle.FACTS, json.dumps(told).encode()), *files]
    sums = {getattr(name, "name", name): hashlib.sha256(content).hexdigest() for name, content in members}
    tar(path, [*members, (bundle.SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode())])
    return str(path)


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member
