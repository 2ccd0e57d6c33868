# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Fetches a release from another host that has the same one, in place of compiling it.

The same name means the same source, options, compiler and processor. So the programs are installed as if they had been
compiled here, and have to prove themselves like those.
"""

from __future__ import annotations

import os
import tempfile

from ..base.errors import LlamaCppError
from ..base.files import make_directories
from ..net.download import Download, DownloadFailed
from ..net.http import Web, host_of


def fetch(release, seed, progress):
    """Install ``release`` from the programs that ``seed`` offers.

    :param release: an :class:`engine.Release` that would be compiled.
    :param seed: a :class:`seed.Seed`.
    :raises LlamaCppError: saying why it is not installed.
    """
    offered = {file["name"]: file["sha256"] for file in seed.files}
    missing = [name for name in release.engine["targets"] if name not in offered]
    if missing:
        raise LlamaCppError("{} does not offer {}.".format(host_of(seed.url), ", ".join(missing)))
    web = Web(neighbour=seed.url)
    releases = os.path.dirname(release.path)
    make_directories(releases)
    with tempfile.TemporaryDirectory(prefix=f".{release.name}.", dir=releases) as directory:
        programs = {name: os.path.join(directory, name) for name in release.engine["targets"]}
        for name, path in programs.items():
            download = Download(path, web, sha256=offered[name], progress=progress)
            try:
                download.run([seed.url_of(offered[name])], others_left=True)
            except DownloadFailed as error:
                raise LlamaCppError(f"{name} could not be fetched.\n{error.reasons}") from error
            os.chmod(path, 0o755)
        release.install(programs)
