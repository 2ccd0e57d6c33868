# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Which commit a tag of a git repository stands for. A tag can be moved, and a commit is a hash of all it holds."""

from __future__ import annotations

import os
import re
import time

from ..base import commands
from ..base.errors import LlamaCppError
from ..macos.toolchain import XCODE_SELECT, developer_directory
from ..net.http import shown

#: What ``/usr/bin/git`` is on a Mac without Apple's tools: a stub that opens a dialog.
APPLE_GIT = "/usr/bin/git"

#: A server that sends nothing for half a minute is given up.
PATIENCE = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30")


class NoGit(LlamaCppError):
    """There is no git on this host."""


class NoTag(LlamaCppError):
    """The repository has no such tag."""


def commit_of(url, tag, system, xcode_select=XCODE_SELECT):
    """The full commit that the repository ``url`` has under ``tag``; nothing is fetched.

    Raises NoGit, NoTag, and LlamaCppError when the repository cannot be asked.
    """
    git = commands.find("git")
    if git is None or (system == "Darwin" and git == APPLE_GIT and not developer_directory(xcode_select)):
        raise NoGit(
            f"There is no git on this host, so {shown(url)} cannot be asked which commit {tag} is. Nothing was "
            "changed. Install it (macOS: xcode-select --install; elsewhere: the package git), or set engine.source to "
            '"archive", then run the play again.'
        )
    ref = f"refs/tags/{tag}"
    try:
        output = commands.check(
            [git, *PATIENCE, "ls-remote", "--", url, ref, ref + "^{}"],
            f"Asking {shown(url)} which commit {tag} is",
            "Nothing was changed. Correct engine.url or reach it, then run the play again.",
            environment={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except LlamaCppError as error:
        raise LlamaCppError(str(error).replace(url, shown(url))) from None
    found = dict(reversed(line.split("\t", 1)) for line in output.splitlines() if "\t" in line)
    # An annotated tag is an object of its own; git tells what it points to under the second name.
    commit = found.get(ref + "^{}") or found.get(ref)
    if not commit or not re.fullmatch("[0-9a-f]{40}", commit):
        raise NoTag(
            f'engine.version: {shown(url)} has no tag "{tag}". Nothing was changed. Correct engine.version or '
            "engine.url, then run the play again."
        )
    return commit


def ask(url, tag, system, attempts, sleep=time.sleep):
    """:func:`commit_of`, asked up to ``attempts`` times: a repository on the web may not answer at once."""
    for wait in range(1, attempts):
        try:
            return commit_of(url, tag, system)
        except (NoGit, NoTag):
            raise
        except LlamaCppError:
            sleep(2**wait)
    return commit_of(url, tag, system)


def require(commit, found, tag, url, lock_file):
    """Raise LlamaCppError when the tag that was recorded as ``commit`` is ``found`` to be another one now."""
    if found != commit:
        raise LlamaCppError(
            f"The tag {tag} of {shown(url)} was moved; nothing was fetched and nothing was changed.\n"
            f"  recorded  {commit}  ({lock_file})\n  now       {found}\n"
            f"To stay with what was recorded, set engine.version to {commit}. If the change is right, take it: "
            "run the play again with -e llama_cpp_update_lock=true"
        )
