# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""Programs that answer as recorded, in the place of those that this system has not."""

from __future__ import annotations

import shlex


def recorded_program(path, answers):
    """Write a program to ``path`` (a Path) that prints what was recorded for its arguments; returns the path as text.

    :param answers: {arguments as one line: output, or (output, exit status)}. Other arguments are a failure (70).
    """
    cases = []
    for arguments, answer in answers.items():
        output, status = answer if isinstance(answer, tuple) else (answer, 0)
        cases.append(f"{shlex.quote(arguments)}) printf %s {shlex.quote(output)}; exit {status};;")
    lines = ["#!/bin/sh", 'case "$*" in', *cases, "esac", 'echo "not recorded: $*" >&2', "exit 70"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def recorded_sysctl(path, values):
    """A ``sysctl`` that knows exactly the names in ``values`` ({name: value})."""
    return recorded_program(path, {f"-n {name}": f"{value}\n" for name, value in values.items()})
