# Copyright: contributors to macos_setup.llm
# SPDX-License-Identifier: MIT
"""What an expected failure means to the caller: an exit status, a word, and what to do."""

from __future__ import annotations

from .core.base.errors import LlamaCppError
from .core.llama.errors import NotAuthorised, NotRunning, StillLoading
from .environment import KEY_VARIABLE, MANAGER
from .errors import Incomplete, UsageError
from .exit_codes import ExitCode

MEANINGS = (
    (UsageError, ExitCode.USAGE, "misconfigured"),
    (NotRunning, ExitCode.NOT_RUNNING, "down"),
    (StillLoading, ExitCode.STILL_LOADING, "loading"),
    (NotAuthorised, ExitCode.NOT_AUTHORISED, "unauthorised"),
    (Incomplete, ExitCode.INCOMPLETE, "failing"),
    (LlamaCppError, ExitCode.FAILURE, "failing"),
)


def exit_code(error):
    """The exit status for an expected failure."""
    return next(code for kind, code, word in MEANINGS if isinstance(error, kind))


def state_word(error):
    """The state that the server is in, told by the failure to use it; "ready" for None."""
    return next((word for kind, code, word in MEANINGS if isinstance(error, kind)), "ready")


def told(environment, error):
    """An expected failure as it ends a command: what is wrong, and what to do."""
    return "\n".join([f"{environment.program}: {error}", *advice(environment, error)])


def advice(environment, error):
    """What to do about it, as a list of lines, with the commands to paste."""
    if isinstance(error, NotRunning) and environment.elsewhere:
        return [f"The address comes from {environment.endpoint.source}."]
    if isinstance(error, NotRunning) and environment.section("service").get("manager"):
        return [f"Start the server: {MANAGER} start", f"Find the cause: {MANAGER} logs"]
    if isinstance(error, StillLoading):
        return [f"Wait until it is ready: {environment.client} health --wait 300"]
    if isinstance(error, NotAuthorised):
        source = environment.key_source
        return [f"The API key comes from {source}." if source else f"Set {KEY_VARIABLE} to the server's API key."]
    return []
