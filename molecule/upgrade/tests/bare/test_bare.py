# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""The host without the collection: so before the installation, and so again when everything was removed."""

import stat

from support.plays import listing, processes_below


def test_there_is_what_its_owner_has_and_nothing_else(host):
    assert listing(host.directory) == {"bin": (stat.S_IFDIR, "0o750"), "bin/backup": (stat.S_IFREG, "0o700")}


def test_nothing_runs_from_here(host):
    assert not processes_below(host.directory)
