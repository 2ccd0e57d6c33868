# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What the shell of a user searches: found out by asking it, since each user's own files have their say in that."""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import subprocess
import tempfile

from ..base.privileges import is_root

#: What is asked of each of these shells, words and all; FPATH is where zsh looks for completion scripts.
SHELLS = ("sh", "bash", "dash", "ksh", "zsh", "fish")
#: As a login starts it; and as a terminal does, since a PATH may be set in ~/.zshrc, or only if it is interactive.
WAYS = ("-lc", "-lic")
MARK = "macos_setup.llm:"
QUESTION = f'printf "\\n%s%s\\n%s%s\\n" {MARK} "$PATH" {MARK} "$FPATH"'

SECONDS = 5.0


def searched(directory, functions):
    """What the login shell of this user searches: ``shell`` and the lists ``path`` and ``fpath``; None if unknown.

    Not asked as root, which runs nothing that a user can write. The shell is asked in another way where ``directory``
    is not in its ``path``, or ``functions`` not in the ``fpath`` of zsh.
    """
    account = pwd.getpwuid(os.getuid())
    shell = account.pw_shell
    if is_root() or os.path.basename(shell) not in SHELLS:
        return None
    found, is_zsh = None, os.path.basename(shell) == "zsh"
    for way in WAYS:
        found = _answer([shell, way, QUESTION], account) or found
        if found and has(found["path"], directory) and (not is_zsh or has(found["fpath"], functions)):
            break
    return found and {"shell": shell, **found}


def has(directories, wanted):
    """Whether ``wanted`` is among ``directories``, under whatever name."""
    return os.path.realpath(wanted) in map(os.path.realpath, directories)


def _answer(command, account):
    """The lists ``path`` and ``fpath`` that ``command`` tells, or None.

    Its output goes to a file: what a user's files start in the background would hold a pipe open.
    """
    environment = {**os.environ, "HOME": account.pw_dir, "USER": account.pw_name, "SHELL": command[0], "TERM": "dumb"}
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd=os.sep,
                start_new_session=True,
            )
        except OSError:
            return None
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        lines = output.read().decode("utf-8", "replace").splitlines()
    told = [line[len(MARK) :] for line in lines if line.startswith(MARK)]
    if len(told) < 2:
        return None
    path, fpath = ([part for part in words.split(os.pathsep) if part] for words in told[-2:])
    return {"path": path, "fpath": fpath}


def path_line(shell, directory, home, system):
    """The file of the user and the line in it with which ``shell`` searches ``directory`` for commands."""
    kind, quoted = os.path.basename(shell), shlex.quote(directory)
    if kind == "fish":
        return os.path.join(home, ".config", "fish", "config.fish"), f"fish_add_path {quoted}"
    return os.path.join(home, _start_file(kind, home, system)), f'export PATH={quoted}:"$PATH"'


def _start_file(kind, home, system):
    if kind == "zsh":
        return ".zshrc"
    if kind == "bash" and system == "Linux":  # whose terminals start no login shell
        return ".bashrc"
    if kind == "bash":  # reads the first of these only
        names = (".bash_profile", ".bash_login", ".profile")
        return next((name for name in names if os.path.exists(os.path.join(home, name))), names[0])
    return ".profile"
