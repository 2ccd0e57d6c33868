# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""A Mac that can be changed: programs that keep one number each."""

from support.macos import outputs

LIMIT = "iogpu.wired_limit_mb"


class SettableMac:
    """A Mac with 64 GiB whose sysctl and pmset remember what they are told; ``told`` is what that was."""

    def __init__(self, directory):
        self.directory = directory
        self._calls = directory / "calls"
        self.limit, self.power = directory / "limit", directory / "power"
        self.limit.write_text("0\n")
        self.power.write_text(outputs.CUSTOM_DESKTOP)
        known = {name: value for name, value in outputs.M1_MAX_64.items() if name != LIMIT}
        cases = [f"{name}) echo '{value}';;" for name, value in known.items()]
        self.sysctl = self._program(
            "sysctl",
            f'if [ "$1" != -n ]; then echo "sysctl $*" >>"{self._calls}"; echo "${{1#*=}}" >"{self.limit}"; exit; fi',
            'case "$2" in',
            *cases,
            f'{LIMIT}) cat "{self.limit}";;',
            "*) exit 1;;",
            "esac",
        )
        self.pmset = self._program(
            "pmset",
            f'if [ "$1" = -g ]; then cat "{self.power}"; exit; fi',
            f'echo "pmset $*" >>"{self._calls}"',
            f'sed "s/^ $2 .*/ $2          $3/" "{self.power}" >"{self.power}.new"',
            f'mv "{self.power}.new" "{self.power}"',
        )

    def _program(self, name, *lines):
        path = self.directory / name
        path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
        path.chmod(0o755)
        return str(path)

    @property
    def told(self):
        return self._calls.read_text().splitlines() if self._calls.exists() else []
