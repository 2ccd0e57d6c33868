# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""How the commands ``llm`` and ``llm-manager`` end."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """The exit status of a command, with its ``meaning``; scripts rely on each number."""

    def __new__(cls, value, meaning):
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    SUCCESS = 0, "success"
    FAILURE = 1, "failure"
    USAGE = 2, "usage or configuration error"
    NOT_RUNNING = 3, "server not running"
    STILL_LOADING = 4, "server still loading its model"
    NOT_AUTHORISED = 5, "API key refused by the server"
    INCOMPLETE = 6, "answer cut off, empty, or only reasoning"
    INTERRUPTED = 130, "interrupted (Ctrl-C)"
